//! A CUDA device behind a guard: without a driver the bindings panic rather than fail.
//!
//! The guard first looks for the driver's library where the loader would find it, so that a machine without
//! one gets a sentence and no panic text; what still panics is caught and told as an error.

use std::env;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;

use super::Unusable;
use crate::panics::panic_text;

/// Folders in which the loader looks without being told (`ld.so(8)`, Debian's multiarch, container runtimes).
const LOADER_FOLDERS: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/cuda/compat",
    "/run/opengl-driver/lib",
];

/// Opens the CUDA device of that index.
pub(super) fn open(index: usize) -> Result<candle_core::Device, Unusable> {
    if cfg!(target_os = "linux") && !driver_is_installed() {
        return Err(Unusable(
            "no NVIDIA driver in this process (libcuda.so.1 was not found): install the driver, or start the \
             container with --gpus"
                .to_owned(),
        ));
    }
    match catch_unwind(AssertUnwindSafe(|| candle_core::Device::new_cuda(index))) {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(error)) => Err(Unusable(format!(
            "CUDA answers {error}; `nvidia-smi` shows the devices there are"
        ))),
        Err(panic) => Err(Unusable(format!(
            "CUDA's libraries do not load ({}); install cuBLAS and cuRAND of CUDA 12, or use the project's image",
            panic_text(panic.as_ref()).lines().next().unwrap_or_default()
        ))),
    }
}

fn driver_is_installed() -> bool {
    let told = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = env::split_paths(&told).chain(LOADER_FOLDERS.iter().map(PathBuf::from));
    folders
        .filter(|folder| !folder.as_os_str().is_empty())
        .any(|folder| holds_driver(&folder))
        || loader_knows_driver()
}

fn holds_driver(folder: &Path) -> bool {
    folder.join("libcuda.so.1").exists()
}

/// The loader's cache is binary, and file names stand in it as plain text.
fn loader_knows_driver() -> bool {
    const NAME: &[u8] = b"libcuda.so.1\0";
    std::fs::read("/etc/ld.so.cache").is_ok_and(|cache| cache.windows(NAME.len()).any(|bytes| bytes == NAME))
}
