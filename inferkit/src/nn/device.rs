//! The device a model computes on: one door for all of them.
//!
//! ```text
//! auto ─▶ CUDA, if built in and usable ─▶ Metal, if built in and usable ─▶ CPU
//! cuda:1, metal, cpu ─▶ that one or an error that says what to do
//! ```
//!
//! **Invariant:** no other code calls a constructor of a device, and none asks which device it is on.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "device/no_cuda.rs"]
mod cuda;
#[cfg(feature = "metal")]
mod metal;
#[cfg(not(feature = "metal"))]
#[path = "device/no_metal.rs"]
mod metal;

use std::sync::Arc;

use candle_core::DType;
use inferkit_kernels::IsaError;
use inferkit_kernels::Pool;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::nn::DevicePreference;
use crate::nn::DtypePreference;
use crate::nn::Kernels;
use crate::nn::Placement;
use crate::nn::Threads;

/// A device that is ready to compute, and why it was chosen.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    candle: candle_core::Device,
    name: String,
    reason: String,
    /// What computes on the processor; none on other devices.
    kernels: Option<Kernels>,
    /// For what is computed on the processor whatever the device is; started when they are first asked for.
    threads: Threads,
}

/// Why a device cannot be used, as a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable(pub(crate) String);

impl Device {
    /// Opens the preferred device, with threads of its own where that is the processor.
    ///
    /// # Errors
    /// As [`Device::open_on`].
    #[cfg(test)]
    pub(crate) fn open(preference: DevicePreference) -> Result<Self> {
        Self::open_on(preference, None)
    }

    /// The device that tests of networks compute on, as [`DevicePreference::under_test`] says.
    #[cfg(test)]
    pub(crate) fn under_test() -> Self {
        Self::open(DevicePreference::under_test()).unwrap()
    }

    /// The most by which a number on it may differ with what else is computed beside it: nothing where kernels compute.
    #[cfg(test)]
    pub(crate) fn noise(&self) -> f32 {
        if self.kernels.is_some() { 0.0 } else { 1e-4 }
    }

    /// Opens the preferred device. [`DevicePreference::Auto`] finds one: there is a CPU.
    ///
    /// On the processor models compute with `threads`, which a registry hands to all that it loads; `None` makes new ones.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] with the field `device` when a named device is not built in or not usable, or when the
    /// variable `INFERKIT_KERNELS` names instructions that the processor lacks.
    pub(crate) fn open_on(preference: DevicePreference, threads: Option<&Threads>) -> Result<Self> {
        let opened = match preference {
            DevicePreference::Cpu => Ok(Self::cpu("asked for")),
            DevicePreference::Cuda(index) => Self::cuda(index, "asked for"),
            DevicePreference::Metal => Self::metal("asked for"),
            DevicePreference::Auto => Ok(Self::best()),
        };
        let device = opened.map_err(|Unusable(why)| {
            let message = format!("device {preference} cannot be used: {why}, or choose device auto or cpu");
            Error::invalid(RequestFault::UnsupportedValue, "device", message)
        })?;
        let device = device.with_kernels(threads)?;
        tracing::info!(device = %device.name, asked = %preference, reason = %device.reason, "device opened");
        Ok(device)
    }

    fn best() -> Self {
        let no_cuda = match Self::cuda(0, "the first CUDA device is usable") {
            Ok(device) => return device,
            Err(Unusable(why)) => why,
        };
        match Self::metal("Metal is usable") {
            Ok(device) => device,
            Err(Unusable(no_metal)) => Self::cpu(&format!("no CUDA ({no_cuda}), no Metal ({no_metal})")),
        }
    }

    fn cpu(reason: &str) -> Self {
        Self {
            candle: candle_core::Device::Cpu,
            name: "cpu".to_owned(),
            reason: reason.to_owned(),
            kernels: None,
            threads: Threads::new(),
        }
    }

    /// The processor with the tensor library alone: what tests compare kernels with.
    #[cfg(test)]
    pub(crate) fn without_kernels() -> Self {
        Self::cpu("asked for by a test")
    }

    fn with_kernels(self, threads: Option<&Threads>) -> Result<Self> {
        let threads = threads.cloned().unwrap_or_default();
        if !self.candle.is_cpu() {
            return Ok(Self { threads, ..self });
        }
        let kernels = Kernels::on(&threads).map_err(|error| without_instructions(&error))?;
        Ok(Self {
            kernels: Some(kernels),
            threads,
            ..self
        })
    }

    fn cuda(index: usize, reason: &str) -> Result<Self, Unusable> {
        let candle = cuda::open(index)?;
        Ok(Self {
            candle,
            name: format!("cuda:{index}"),
            reason: reason.to_owned(),
            kernels: None,
            threads: Threads::new(),
        })
    }

    fn metal(reason: &str) -> Result<Self, Unusable> {
        Ok(Self {
            candle: metal::open()?,
            name: "metal".to_owned(),
            reason: reason.to_owned(),
            kernels: None,
            threads: Threads::new(),
        })
    }

    /// Its name as configuration and status write it: `cpu`, `cuda:0`, `metal`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Why it was chosen; the log says so too.
    #[cfg(test)]
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// The handle that tensors are made with.
    pub(crate) fn candle(&self) -> &candle_core::Device {
        &self.candle
    }

    /// What computes on the processor; `None` on other devices.
    pub(crate) fn kernels(&self) -> Option<&Kernels> {
        self.kernels.as_ref()
    }

    /// The threads for what is computed on the processor whatever the device is.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        Arc::clone(self.threads.pool())
    }

    /// Where the weights of a model go and what they become there, where the file holds weights of `stored`.
    ///
    /// On the processor bf16 means that products take weights and activations in bf16 and sum in f32, which is what
    /// everything between them stays in. A type that is named, rather than left to us, holds for blocks too.
    pub(crate) fn placement(&self, preference: DtypePreference, stored: DType) -> Placement {
        let dtype = self.compute_dtype(preference, stored);
        let placement = Placement {
            device: self.candle.clone(),
            dtype,
            widen_blocks: preference != DtypePreference::Auto,
            kernels: self.kernels.clone(),
        };
        match &self.kernels {
            Some(kernels) if dtype == DType::BF16 => Placement {
                dtype: DType::F32,
                kernels: Some(kernels.clone().rounding()),
                ..placement
            },
            Some(_) | None => placement,
        }
    }

    /// The type to compute with, where the file holds weights of `stored`.
    ///
    /// On the CPU `auto` means f32 whatever the file holds: the kernels multiply bf16 weights with f32 as they are,
    /// and f32 meets the goldens.
    fn compute_dtype(&self, preference: DtypePreference, stored: DType) -> DType {
        match preference {
            DtypePreference::F32 => DType::F32,
            DtypePreference::F16 => DType::F16,
            DtypePreference::Bf16 => DType::BF16,
            DtypePreference::Auto if self.candle.is_cpu() => DType::F32,
            DtypePreference::Auto => stored,
        }
    }

    /// Images that a convolutional network is best given together: one that stays in the processor's caches, or enough to
    /// fill another device.
    pub(crate) fn images_at_once(&self) -> usize {
        if self.candle.is_cpu() { 1 } else { 16 }
    }

    /// Tokens a key/value block holds: one panel of the CPU's kernels, or a tile of the GPU's.
    pub(crate) fn block_size(&self) -> usize {
        if self.candle.is_cpu() { 32 } else { 64 }
    }
}

/// The variable names instructions that are not there.
fn without_instructions(error: &IsaError) -> Error {
    let message = format!("the processor cannot be used as asked: {error}");
    Error::invalid(RequestFault::UnsupportedValue, "device", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Encoding;
    use inferkit_kernels::Isa;

    #[test]
    fn instructions_that_are_not_there_are_refused_with_the_variable_and_the_choices() {
        let error = without_instructions(&Isa::named("avx1024").unwrap_err());
        assert!(matches!(error, Error::InvalidRequest { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("INFERKIT_KERNELS names the kernel tier \"avx1024\"")
                && text.contains("choose one of portable"),
            "{text}"
        );
    }

    #[test]
    fn the_processor_is_always_there_and_auto_says_why_it_chose() {
        assert_eq!(Device::open(DevicePreference::Cpu).unwrap().name(), "cpu");
        assert!(!Device::open(DevicePreference::Auto).unwrap().reason().is_empty());
    }

    #[test]
    fn the_threads_that_were_given_are_used_whatever_the_device_is() {
        let threads = Threads::new();
        let cpu = Device::open_on(DevicePreference::Cpu, Some(&threads)).unwrap();
        assert!(Arc::ptr_eq(&cpu.pool(), threads.pool()));
        let other = Device { kernels: None, ..cpu };
        assert!(Arc::ptr_eq(&other.pool(), threads.pool()));
    }

    #[test]
    fn a_named_device_that_is_not_there_is_an_error_that_says_what_to_do() {
        let error = Device::open(DevicePreference::Cuda(97)).unwrap_err();
        assert_eq!((error.code(), error.param()), ("unsupported_value", Some("device")));
        assert!(error.to_string().contains("choose device auto or cpu"), "{error}");
    }

    #[test]
    fn bf16_on_the_processor_is_what_products_round_to_and_what_weights_and_caches_are_kept_as() {
        let device = Device::open(DevicePreference::Cpu).unwrap();
        for stored in [DType::F32, DType::F16, DType::BF16] {
            let placement = device.placement(DtypePreference::Bf16, stored);
            assert_eq!((placement.dtype, placement.cache_dtype()), (DType::F32, DType::BF16));
            assert!(placement.layer_kernels().is_some_and(Kernels::rounds));
            assert_eq!(placement.name_of(Encoding::Plain(stored)), "bf16");
            let exact = placement.in_f32();
            assert!(exact.layer_kernels().is_some_and(|kernels| !kernels.rounds()));
        }
        let placement = device.placement(DtypePreference::Auto, DType::F32);
        assert_eq!((placement.dtype, placement.cache_dtype()), (DType::F32, DType::F32));
        assert_eq!(placement.name_of(Encoding::Plain(DType::F32)), "f32");
        assert_eq!(placement.name_of(Encoding::Plain(DType::BF16)), "bf16", "kept as it is");
    }

    #[test]
    fn the_processor_computes_in_f32_unless_told_otherwise() {
        let device = Device::open(DevicePreference::Cpu).unwrap();
        assert_eq!(device.compute_dtype(DtypePreference::Auto, DType::BF16), DType::F32);
        assert_eq!(device.compute_dtype(DtypePreference::F16, DType::BF16), DType::F16);
    }
}
