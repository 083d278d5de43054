//! How soon does the server listen, and what does it take while it does nothing?
//!
//!     cargo run --release -p inferkit-benches --bin startup -- target/release/inferkit-server

use std::error::Error;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use inferkit_benches::Figures;
use inferkit_benches::cpu_seconds;
use inferkit_benches::resident_bytes;

const RUNS: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let binary = std::env::args().nth(1).ok_or("usage: startup SERVER_BINARY")?;
    let folder = tempfile::tempdir()?;
    let mut times = Vec::new();
    let mut memory = Vec::new();
    let mut idle = Vec::new();
    for run in 0..RUNS {
        let address = free_address()?;
        let begin = Instant::now();
        let mut server = Command::new(&binary)
            .args(["serve", "--offline", "--bind", &address.to_string()])
            .arg("--models-dir")
            .arg(folder.path())
            .stderr(Stdio::null())
            .spawn()?;
        while TcpStream::connect(address).is_err() {
            if server.try_wait()?.is_some() || begin.elapsed() > Duration::from_secs(10) {
                return Err("the server does not listen".into());
            }
            thread::sleep(Duration::from_micros(200));
        }
        times.push(begin.elapsed().as_secs_f64() * 1000.0);
        if run < 3 {
            thread::sleep(Duration::from_secs(2));
            memory.push(resident_bytes(server.id())? as f64 / 1e6);
            let before = cpu_seconds(server.id())?;
            thread::sleep(Duration::from_secs(5));
            idle.push((cpu_seconds(server.id())? - before) / 5.0 * 100.0);
        }
        server.kill()?;
        server.wait()?;
    }
    let times = Figures::new(times);
    println!(
        "process start to listening: median {:.1} ms, least {:.1} ms, n {RUNS}",
        times.median(),
        times.least()
    );
    println!(
        "idle, no model loaded: {:.1} MB resident",
        Figures::new(memory).median()
    );
    println!(
        "idle, no model loaded: {:.2} % of one core",
        Figures::new(idle).median()
    );
    Ok(())
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
