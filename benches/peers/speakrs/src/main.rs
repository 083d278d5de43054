//! How many times faster than real time does speakrs find who speaks when, on the processor?
//!
//! ```text
//! speakrs-speed MODELS RECORDING.wav [RUNS]
//! ```
//!
//! MODELS is a folder as `make_speakrs_model.py` beside this crate writes it. The recording has 16 kHz and one channel.
//! speakrs takes up to four threads, no more than this process may use. The median of RUNS runs counts (1 if left out).

use std::error::Error;
use std::time::Instant;

use speakrs::ExecutionMode;
use speakrs::OwnedDiarizationPipeline;

const RATE: u32 = 16_000;

fn recording(path: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut reader = hound::WavReader::open(path)?;
    let spec = reader.spec();
    if (spec.sample_rate, spec.channels, spec.bits_per_sample) != (RATE, 1, 16) {
        return Err(format!("{path}: {spec:?}; give 16 kHz, one channel, 16 bits").into());
    }
    let samples = reader.samples::<i16>();
    Ok(samples
        .map(|sample| sample.map(|sample| f32::from(sample) / 32_768.0))
        .collect::<Result<_, _>>()?)
}

/// The most memory that was ever present, in MiB (Linux).
fn peak_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or_default() / 1024
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [models, file, rest @ ..] = arguments.as_slice() else {
        return Err("usage: speakrs-speed MODELS RECORDING.wav [RUNS]".into());
    };
    let runs: usize = rest.first().map_or(Ok(1), |runs| runs.parse())?;
    let samples = recording(file)?;
    let mut pipeline = OwnedDiarizationPipeline::from_dir(models.as_str(), ExecutionMode::Cpu)?;
    let (mut seconds, mut turns) = (Vec::new(), 0);
    for _ in 0..runs.max(1) {
        let begin = Instant::now();
        turns = pipeline.run(&samples)?.segments.len();
        seconds.push(begin.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let (sound, median) = (samples.len() as f64 / f64::from(RATE), seconds[seconds.len() / 2]);
    println!(
        "speakrs: {sound:.0} s of sound in {median:.2} s, {:.2} x real time, {turns} turns, peak {} MiB",
        sound / median,
        peak_mebibytes(),
    );
    Ok(())
}
