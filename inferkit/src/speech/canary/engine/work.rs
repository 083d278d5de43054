//! One recording at work.

use std::time::Instant;

use crate::speech::canary::transcript::Transcript;
use crate::task::Samples;
use crate::task::TranscriptionEvent;
use crate::wrapper::engine::Order;
use crate::wrapper::engine::Outlet;

/// What a caller hands in.
#[derive(Debug)]
pub(in crate::speech::canary) struct Recording {
    /// All samples, padded to the shortest length that is decoded.
    pub(in crate::speech::canary) samples: Samples,
    /// Tokens before the answer of each window.
    pub(in crate::speech::canary) prompt: Vec<u32>,
    /// Takes what is heard in the windows that it plans.
    pub(in crate::speech::canary) transcript: Transcript,
}

/// A recording at work.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) recording: Recording,
    pub(super) outlet: Outlet<TranscriptionEvent>,
    pub(super) begun: Instant,
    /// The first window that was not taken into a turn yet.
    pub(super) next_window: usize,
    /// Whether the outlet has been told the end.
    pub(super) is_over: bool,
}

impl Work {
    /// Begins a recording that was in line.
    pub(super) fn begin(order: Order<Recording, TranscriptionEvent>) -> Self {
        Self {
            recording: order.request,
            outlet: order.outlet,
            begun: Instant::now(),
            next_window: 0,
            is_over: false,
        }
    }

    /// The next window to decode, if there is one.
    pub(super) fn take_window(&mut self) -> Option<usize> {
        let window = self.next_window;
        let is_there = window < self.recording.transcript.plan().windows.len();
        self.next_window += usize::from(is_there);
        is_there.then_some(window)
    }
}
