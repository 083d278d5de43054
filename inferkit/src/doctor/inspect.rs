//! The inspection, thing by thing.

use std::path::Path;
use std::path::PathBuf;

use inferkit_kernels::Isa;
use inferkit_kernels::IsaError;

use crate::doctor::Dependency;
use crate::doctor::DependencyKind;
use crate::doctor::DependencyStatus;
use crate::doctor::libraries;
use crate::hub::TokenStatus;
use crate::monitor::GpuMonitor;
use crate::monitor::GpuReport;
use crate::storage::space;

/// Free room below which a download of a usual model does not fit.
const ENOUGH_ROOM: u64 = 20 << 30;

/// Oldest CUDA that the driver must run.
const WANTED_CUDA: &str = "12.4";

/// Files and folders in which systems keep the certificates that they trust.
const TLS_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
];

/// What to look at. The library reads no environment: what an embedder found there it puts in here.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct InspectOptions {
    /// Folder of the models.
    pub models_dir: PathBuf,
    /// What is known of the hub token.
    pub token: Option<TokenStatus>,
    /// Whether the hub is left alone.
    pub offline: bool,
    /// The loader's search path, as in `LD_LIBRARY_PATH`.
    pub library_path: String,
    /// File of trusted certificates, as in `SSL_CERT_FILE`.
    pub tls_roots: Option<PathBuf>,
    /// What the GPUs said last, if they were asked; else they are asked now.
    pub gpu: Option<GpuReport>,
}

impl InspectOptions {
    /// Looks at `models_dir`.
    pub fn new(models_dir: impl Into<PathBuf>) -> Self {
        Self {
            models_dir: models_dir.into(),
            ..Self::default()
        }
    }

    /// Takes what is known of the hub token.
    #[must_use]
    pub fn with_token(self, token: TokenStatus) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }

    /// Takes what the GPUs said last.
    #[must_use]
    pub fn with_gpu(self, gpu: GpuReport) -> Self {
        Self { gpu: Some(gpu), ..self }
    }
}

/// Looks at all that this process needs. Reads files and asks the driver: call it off the async threads.
pub fn inspect(options: &InspectOptions) -> Vec<Dependency> {
    let cuda = cfg!(feature = "cuda");
    let gpu = options.gpu.clone().unwrap_or_else(|| GpuMonitor::new().sample());
    let mut found = compiled_features();
    found.push(driver(&gpu, cuda));
    found.extend(cuda_libraries(&options.library_path, cuda));
    found.extend(processor());
    found.push(kernels(Isa::from_env()));
    found.push(models_directory(&options.models_dir));
    found.push(free_room(&options.models_dir));
    found.push(tls_roots(options.tls_roots.as_deref(), options.offline));
    found.push(token(options.token.as_ref()));
    found
}

fn compiled_features() -> Vec<Dependency> {
    let features = [
        ("hub", cfg!(feature = "hub"), "downloads from the model hub"),
        ("cuda", cfg!(feature = "cuda"), "models on NVIDIA GPUs"),
        ("cudnn", cfg!(feature = "cudnn"), "faster convolutions on NVIDIA GPUs"),
        ("nccl", cfg!(feature = "nccl"), "one model on several GPUs"),
        ("metal", cfg!(feature = "metal"), "models on Apple GPUs"),
        ("mkl", cfg!(feature = "mkl"), "Intel's library of matrix products"),
    ];
    let describe = |(name, there, purpose): (&str, bool, &str)| {
        let (status, hint) = if there {
            (DependencyStatus::Ok, format!("compiled in: {purpose}"))
        } else {
            (
                DependencyStatus::Missing,
                format!("build with the feature `{name}` for {purpose}"),
            )
        };
        Dependency::new(name, DependencyKind::CompiledFeature, false).found(status, None, &hint)
    };
    features.into_iter().map(describe).collect()
}

fn driver(gpu: &GpuReport, required: bool) -> Dependency {
    let driver = Dependency::new("nvidia-driver", DependencyKind::Driver, required);
    let driver = driver.wanting(&format!("one that runs CUDA {WANTED_CUDA}"));
    if !gpu.available {
        let reason = gpu.reason.as_deref().unwrap_or("the driver was not asked");
        let hint = if required {
            format!("{reason}; install the NVIDIA driver or use a build without CUDA")
        } else {
            reason.to_owned()
        };
        return driver.found(DependencyStatus::Missing, None, &hint);
    }
    let Some(first) = gpu.gpus.first() else {
        return driver.found(
            DependencyStatus::Missing,
            None,
            "the driver sees no GPU; give this process one",
        );
    };
    let version = first.driver_version.clone();
    match first.cuda_driver_version.as_deref() {
        None => driver.found(
            DependencyStatus::Unknown,
            version,
            "the driver does not say which CUDA it runs; update it",
        ),
        Some(cuda) if is_older(cuda, WANTED_CUDA) => driver.found(
            DependencyStatus::WrongVersion,
            version,
            &format!("it runs CUDA {cuda} only; update the driver"),
        ),
        Some(cuda) => driver.found(DependencyStatus::Ok, version, &format!("it runs CUDA up to {cuda}")),
    }
}

fn cuda_libraries(library_path: &str, required: bool) -> Vec<Dependency> {
    let folders = libraries::folders(library_path, Path::new("/etc/ld.so.conf.d"));
    let find = |name: &str| {
        let library = Dependency::new(name, DependencyKind::NativeLibrary, required);
        let file = format!("{name}.so");
        let Some(path) = libraries::find(&file, &folders) else {
            let hint = if required {
                "not on the loader's path; install the CUDA runtime libraries or set LD_LIBRARY_PATH"
            } else {
                "this build runs without it"
            };
            return library.found(DependencyStatus::Missing, None, hint);
        };
        // A plain name is a link to the one with the version.
        let path = path.canonicalize().unwrap_or(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let version = libraries::version_of(&name, &file)
            .filter(|version| !version.is_empty())
            .map(str::to_owned);
        library.found(DependencyStatus::Ok, version, &format!("found at {}", path.display()))
    };
    ["libcublas", "libcublasLt", "libcurand"].map(find).into()
}

#[cfg(target_arch = "x86_64")]
fn processor() -> Vec<Dependency> {
    let has = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    has.into_iter().map(instruction).collect()
}

#[cfg(target_arch = "aarch64")]
fn processor() -> Vec<Dependency> {
    use std::arch::is_aarch64_feature_detected;

    let has = [
        ("neon", is_aarch64_feature_detected!("neon")),
        ("fp16", is_aarch64_feature_detected!("fp16")),
        ("dotprod", is_aarch64_feature_detected!("dotprod")),
        ("i8mm", is_aarch64_feature_detected!("i8mm")),
    ];
    has.into_iter().map(instruction).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn processor() -> Vec<Dependency> {
    Vec::new()
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn instruction((name, there): (&str, bool)) -> Dependency {
    let (status, hint) = if there {
        (DependencyStatus::Ok, "the processor has it")
    } else {
        (
            DependencyStatus::Missing,
            "the processor lacks it; models run more slowly on another path",
        )
    };
    Dependency::new(&format!("cpu-{name}"), DependencyKind::NativeLibrary, false).found(status, None, hint)
}

/// What models on the processor are computed with; wrong only where the variable that names it is.
fn kernels(isa: Result<Isa, IsaError>) -> Dependency {
    let kernels = Dependency::new("kernels", DependencyKind::NativeLibrary, true);
    let kernels = kernels.wanting("instructions that the processor has");
    match isa {
        Ok(isa) => {
            let hint = "models on the processor are computed with these instructions";
            kernels.found(DependencyStatus::Ok, Some(isa.tier().to_string()), hint)
        }
        Err(error) => kernels.found(DependencyStatus::WrongVersion, None, &error.to_string()),
    }
}

fn models_directory(folder: &Path) -> Dependency {
    let place = folder.display();
    let directory = Dependency::new("models-directory", DependencyKind::NativeLibrary, true);
    let directory = directory.wanting("a folder that this process can read and write");
    let version = Some(place.to_string());
    if !folder.exists() {
        // It is made at the first download, which takes the right to write above it.
        let above = folder.ancestors().skip(1).find(|above| above.exists());
        let above = above
            .filter(|above| !above.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        return match tempfile::tempfile_in(above) {
            Ok(_) => directory.found(DependencyStatus::Ok, version, "it is made at the first download"),
            Err(error) => directory.found(
                DependencyStatus::Missing,
                version,
                &format!("it cannot be made ({error}); make it or choose another folder"),
            ),
        };
    }
    if let Err(error) = std::fs::read_dir(folder) {
        let hint = format!("it cannot be read ({error}); let this process read it or choose another folder");
        return directory.found(DependencyStatus::Missing, version, &hint);
    }
    match tempfile::tempfile_in(folder) {
        Ok(_) => directory.found(DependencyStatus::Ok, version, "it can be read and written"),
        // Models that are there serve all the same.
        Err(error) => {
            let hint = format!("it is read-only ({error}): downloads are off; let this process write there");
            Dependency {
                required: false,
                ..directory
            }
            .found(DependencyStatus::Missing, version, &hint)
        }
    }
}

fn free_room(folder: &Path) -> Dependency {
    let room = Dependency::new("free-disk-space", DependencyKind::NativeLibrary, false);
    let room = room.wanting(&format!("{} GiB", ENOUGH_ROOM >> 30));
    match space(folder) {
        None => room.found(
            DependencyStatus::Unknown,
            None,
            "the system does not say; look at the disk by hand",
        ),
        Some(space) => {
            let version = format!("{:.1} GiB", space.free_bytes as f64 / f64::from(1 << 30));
            if space.free_bytes >= ENOUGH_ROOM {
                room.found(DependencyStatus::Ok, version, "a usual model fits")
            } else {
                room.found(
                    DependencyStatus::WrongVersion,
                    version,
                    "a large model may not fit; free some space",
                )
            }
        }
    }
}

fn tls_roots(given: Option<&Path>, offline: bool) -> Dependency {
    let required = cfg!(feature = "hub") && !offline;
    let roots = Dependency::new("tls-roots", DependencyKind::NativeLibrary, required);
    if !cfg!(target_os = "linux") && given.is_none() {
        return roots.found(DependencyStatus::Ok, None, "the system keeps them");
    }
    let found = match given {
        Some(path) => Some(path).filter(|path| path.exists()),
        None => TLS_ROOTS.iter().map(Path::new).find(|path| is_filled(path)),
    };
    match found {
        Some(path) => roots.found(DependencyStatus::Ok, None, &format!("read from {}", path.display())),
        None => roots.found(
            DependencyStatus::Missing,
            None,
            "no trusted certificates; install the package ca-certificates or set SSL_CERT_FILE",
        ),
    }
}

/// Whether `path` is a file with content or a folder with entries.
fn is_filled(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()),
        Ok(found) => found.len() > 0,
        Err(_) => false,
    }
}

fn token(status: Option<&TokenStatus>) -> Dependency {
    let token = Dependency::new("hub-token", DependencyKind::NativeLibrary, false);
    match status {
        Some(TokenStatus {
            problem: Some(problem), ..
        }) => token.found(DependencyStatus::WrongVersion, None, problem),
        Some(TokenStatus {
            present: true,
            verified: Some(false),
            masked,
            ..
        }) => token.found(
            DependencyStatus::WrongVersion,
            masked.clone(),
            "the hub does not know it; set a valid one",
        ),
        Some(TokenStatus {
            present: true, masked, ..
        }) => token.found(
            DependencyStatus::Ok,
            masked.clone(),
            "gated models can be downloaded once accepted",
        ),
        Some(_) => token.found(DependencyStatus::Missing, None, "set one to download gated models"),
        None => token.found(
            DependencyStatus::Unknown,
            None,
            "it was not looked at; ask the token store",
        ),
    }
}

/// Whether version `found` is older than `wanted`; both are numbers parted by dots.
fn is_older(found: &str, wanted: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().unwrap_or(0)).collect() };
    numbers(found) < numbers(wanted)
}

#[cfg(test)]
mod tests;
