//! The network that describes voices, with the features that it reads.

use candle_core::Tensor;

use super::campplus::CamPlusPlus;
use super::mask::nearest;
use super::resnet::ResNet;
use super::resnet::TrunkBuffers;
use crate::audio::fbank::Fbank;
use crate::audio::fbank::FbankOptions;
use crate::audio::fbank::FbankWindow;
use crate::diarization::layers::Layers;
use crate::error::Result;
use crate::nn::device_fault;

/// A network that describes voices.
#[derive(Debug, Clone)]
pub(in crate::diarization) struct Embedder {
    fbank: Fbank,
    network: Network,
    device: candle_core::Device,
    batch: usize,
}

#[derive(Debug, Clone)]
enum Network {
    WeSpeaker(Box<ResNet>),
    CamPlusPlus(Box<CamPlusPlus>),
}

/// One window and the masks of those who speak in it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::diarization) struct MaskedWindow {
    /// `[t, m]`, not centred.
    pub(in crate::diarization) features: Vec<f32>,
    /// A mask for each speaker who is to be described, 0 and 1 for each frame of the segmentation.
    pub(in crate::diarization) masks: Vec<Vec<f32>>,
}

/// Working memory that is kept from window to window.
#[derive(Debug, Default)]
pub(in crate::diarization) struct EmbedderBuffers(TrunkBuffers);

/// Fewest frames that CAM++ describes a voice by.
const LEAST_FRAMES: usize = 10;

impl Embedder {
    /// WeSpeaker's network of a checkpoint's `layers`, with features of `mel_bins` values.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when a tensor is missing or does not fit.
    pub(in crate::diarization) fn wespeaker(layers: &Layers<'_>, mel_bins: usize) -> Result<Self> {
        let options = FbankOptions {
            mel_bins,
            window: FbankWindow::Hamming,
            scale: 32_768.0,
        };
        Ok(Self {
            fbank: Fbank::new(options),
            network: Network::WeSpeaker(Box::new(ResNet::new(&layers.at("resnet"))?)),
            device: layers.device().candle().clone(),
            batch: layers.device().images_at_once(),
        })
    }

    /// CAM++ of a checkpoint's `layers`.
    ///
    /// # Errors
    /// As [`wespeaker`](Self::wespeaker).
    pub(in crate::diarization) fn campplus(layers: &Layers<'_>) -> Result<Self> {
        let options = FbankOptions {
            mel_bins: 80,
            window: FbankWindow::Povey,
            scale: 1.0,
        };
        Ok(Self {
            fbank: Fbank::new(options),
            network: Network::CamPlusPlus(Box::new(CamPlusPlus::new(layers)?)),
            device: layers.device().candle().clone(),
            batch: layers.device().images_at_once(),
        })
    }

    /// The features it reads.
    pub(in crate::diarization) const fn fbank(&self) -> &Fbank {
        &self.fbank
    }

    /// Numbers of a vector.
    pub(in crate::diarization) const fn width(&self) -> usize {
        match &self.network {
            Network::WeSpeaker(network) => network.width(),
            Network::CamPlusPlus(network) => network.width(),
        }
    }

    /// Memory of its weights, in bytes.
    pub(in crate::diarization) fn bytes(&self) -> usize {
        match &self.network {
            Network::WeSpeaker(network) => network.bytes(),
            Network::CamPlusPlus(network) => network.bytes(),
        }
    }

    /// Windows that are best computed together.
    pub(in crate::diarization) const fn batch(&self) -> usize {
        self.batch
    }

    /// A vector of [`width`](Self::width) numbers for each mask of each window; numbers that are not any (NaN) where a mask
    /// keeps too little.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] or [`crate::Error::Unavailable`] as the device fails.
    pub(in crate::diarization) fn embed(
        &self,
        mut windows: Vec<MaskedWindow>,
        buffers: &mut EmbedderBuffers,
    ) -> Result<Vec<Vec<Vec<f32>>>> {
        for window in &mut windows {
            centre(&mut window.features, self.fbank.mel_bins());
        }
        match &self.network {
            Network::WeSpeaker(network) => self.by_trunk(network, &windows, &mut buffers.0),
            Network::CamPlusPlus(network) => {
                let vectors = windows.iter().map(|window| {
                    let vector = |mask: &Vec<f32>| self.by_selection(network, window, mask);
                    window.masks.iter().map(vector).collect()
                });
                vectors.collect()
            }
        }
    }

    fn by_trunk(
        &self,
        network: &ResNet,
        windows: &[MaskedWindow],
        buffers: &mut TrunkBuffers,
    ) -> Result<Vec<Vec<Vec<f32>>>> {
        let bins = self.fbank.mel_bins();
        let frames = windows.first().map_or(0, |window| window.features.len() / bins);
        let masks: Vec<Vec<&[f32]>> = windows
            .iter()
            .map(|window| window.masks.iter().map(Vec::as_slice).collect())
            .collect();
        let shape = [windows.len(), bins, frames, 1];
        if network.has_kernels() {
            planes(windows, [frames, bins], buffers.x.shaped(shape));
            network.trunk_in(buffers)?;
            return network.vectors((buffers.x.values(), buffers.x.shape()), &masks, &self.device);
        }
        let mut features = vec![0.0; shape.iter().product()];
        planes(windows, [frames, bins], &mut features);
        let frames = Tensor::from_vec(features, &shape, &self.device).map_err(device_fault)?;
        let frames = network.trunk(&frames)?;
        let (batch, height, time, channels) = frames.dims4().map_err(device_fault)?;
        let values = frames.flatten_all().and_then(|x| x.to_vec1::<f32>());
        let values = values.map_err(device_fault)?;
        network.vectors((&values, [batch, height, time, channels]), &masks, &self.device)
    }

    fn by_selection(&self, network: &CamPlusPlus, window: &MaskedWindow, mask: &[f32]) -> Result<Vec<f32>> {
        let bins = self.fbank.mel_bins();
        let frames = window.features.len() / bins;
        let kept = window.features.chunks_exact(bins).zip(nearest(mask.len(), frames));
        let kept: Vec<f32> = kept
            .filter(|(_, index)| mask.get(*index).is_some_and(|weight| *weight > 0.5))
            .flat_map(|(frame, _)| frame.iter().copied())
            .collect();
        let count = kept.len() / bins;
        if count < LEAST_FRAMES {
            return Ok(vec![f32::NAN; network.width()]);
        }
        let features = Tensor::from_vec(kept, (1, count, bins), &self.device).map_err(device_fault)?;
        network.vector(&features)
    }
}

/// The features `[t, m]` of each window as images `[m, t]`.
fn planes(windows: &[MaskedWindow], [frames, bins]: [usize; 2], into: &mut [f32]) {
    for (window, plane) in windows.iter().zip(into.chunks_exact_mut((frames * bins).max(1))) {
        for (frame, values) in window.features.chunks_exact(bins).take(frames).enumerate() {
            for (line, value) in plane.chunks_exact_mut(frames).zip(values) {
                line[frame] = *value;
            }
        }
    }
}

/// Takes from each of `bins` columns its mean.
#[expect(clippy::cast_possible_truncation, reason = "rounds to what layers compute with")]
fn centre(features: &mut [f32], bins: usize) {
    let frames = (features.len() / bins.max(1)).max(1) as f64;
    let mut mean = vec![0.0_f64; bins];
    for frame in features.chunks_exact(bins) {
        mean.iter_mut().zip(frame).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    let mean: Vec<f32> = mean.iter().map(|sum| (sum / frames) as f32).collect();
    for frame in features.chunks_exact_mut(bins) {
        frame.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_has_a_line_for_each_feature() {
        let window = |features: [f32; 6]| MaskedWindow {
            features: features.to_vec(),
            masks: Vec::new(),
        };
        let windows = [window([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), window([0.0; 6])];
        let mut found = [9.0; 12];
        planes(&windows, [3, 2], &mut found);
        assert_eq!(found[..6], [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        assert_eq!(found[6..], [0.0; 6]);
    }

    #[test]
    fn centred_features_have_no_mean() {
        let mut features = vec![1.0, 10.0, 3.0, -10.0];
        centre(&mut features, 2);
        assert_eq!(features, [-1.0, 10.0, 1.0, -10.0]);
    }
}
