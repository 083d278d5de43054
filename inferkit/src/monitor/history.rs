//! What was sampled over the last day, finer the nearer: each second for ten minutes, each ten for six hours,
//! each minute for a day.
//!
//! Pure: seconds and points in, points out. Memory is bounded by the number of steps.

use std::collections::VecDeque;

/// Seconds a step and steps kept.
const TIERS: [(u64, usize); 3] = [(1, 600), (10, 2160), (60, 1440)];

/// Most points of one answer.
const MAX_POINTS: u64 = 2000;

/// The values of one moment, or their means over one step.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// One a GPU, by index.
    pub gpus: Vec<GpuPoint>,
    /// Use of the processor, 0 to 100.
    pub cpu_percent: Option<f64>,
    /// Memory of the machine in use.
    pub memory_used_bytes: Option<f64>,
    /// This process's use of the processor; 100 is one thread.
    pub process_cpu_percent: Option<f64>,
    /// Memory of this process.
    pub process_rss_bytes: Option<f64>,
}

/// The values of one GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct GpuPoint {
    /// Its index.
    pub index: u32,
    /// Share of time in which it computed, 0 to 100.
    pub utilization_percent: Option<f64>,
    /// Memory in use.
    pub memory_used_bytes: Option<f64>,
    /// Temperature.
    pub temperature_celsius: Option<f64>,
    /// Power drawn.
    pub power_watts: Option<f64>,
}

/// Points at equal distances; `None` where nothing was sampled.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct HistoryWindow {
    /// The second of the first point, since 1970.
    pub start: u64,
    /// Distance of the points.
    pub step_seconds: u64,
    /// The points, oldest first.
    pub points: Vec<Option<Point>>,
}

/// What was sampled over the last day.
#[derive(Debug, Default)]
pub struct History {
    tiers: [Tier; 3],
}

#[derive(Debug, Default)]
struct Tier {
    /// Steps that hold something, oldest first, by their number since 1970.
    steps: VecDeque<(u64, Mean)>,
}

impl History {
    /// A history of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the values of `second` (since 1970). A second before the newest one counts for the newest: clocks
    /// are set back at times.
    pub fn push(&mut self, second: u64, point: &Point) {
        for (tier, (seconds, kept)) in self.tiers.iter_mut().zip(TIERS) {
            tier.push(second / seconds, kept, point);
        }
    }

    /// The points of the last `window` seconds before `now` (since 1970), `step` seconds apart.
    ///
    /// The step is at least what is kept for so long a window, and large enough for 2,000 points; the answer
    /// tells which it became. A window is at most a day.
    pub fn window(&self, now: u64, window: u64, step: u64) -> HistoryWindow {
        let window = window.clamp(1, 86_400);
        let wanted = step.max(1).max(window.div_ceil(MAX_POINTS));
        let reaches = |(seconds, kept): &(u64, usize)| window <= seconds * *kept as u64;
        let chosen = TIERS.iter().position(reaches).unwrap_or(TIERS.len() - 1);
        let (Some(tier), Some((seconds, _))) = (self.tiers.get(chosen), TIERS.get(chosen)) else {
            return HistoryWindow::default();
        };
        let step = wanted.next_multiple_of(*seconds);
        // Whole steps since 1970, so that two answers a moment apart show the same points.
        let last = now / step;
        let first = (now.saturating_sub(window) / step + 1).min(last);
        let means = tier.means(first, last, step / seconds);
        let points = means.iter().map(Mean::point).collect();
        HistoryWindow {
            start: first * step,
            step_seconds: step,
            points,
        }
    }
}

impl Tier {
    fn push(&mut self, step: u64, kept: usize, point: &Point) {
        match self.steps.back_mut() {
            Some((newest, mean)) if step <= *newest => mean.add(point),
            _ => {
                let mut mean = Mean::default();
                mean.add(point);
                self.steps.push_back((step, mean));
            }
        }
        let oldest = self
            .steps
            .back()
            .map_or(0, |(newest, _)| (newest + 1).saturating_sub(kept as u64));
        while self.steps.front().is_some_and(|(step, _)| *step < oldest) {
            self.steps.pop_front();
        }
    }

    /// The means of the groups `first..=last`, each of `width` steps.
    fn means(&self, first: u64, last: u64, width: u64) -> Vec<Mean> {
        let mut means = Vec::new();
        means.resize_with(usize::try_from(last + 1 - first).unwrap_or(0), Mean::default);
        for (step, mean) in &self.steps {
            let group = (step / width)
                .checked_sub(first)
                .and_then(|group| usize::try_from(group).ok());
            if let Some(slot) = group.and_then(|group| means.get_mut(group)) {
                slot.join(mean);
            }
        }
        means
    }
}

/// Sums and counts of the values of one step.
#[derive(Debug, Clone, Default)]
struct Mean {
    /// Processor, memory, processor and memory of this process.
    host: [Sum; 4],
    /// Index and utilization, memory, temperature, power.
    gpus: Vec<(u32, [Sum; 4])>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, point: &Point) {
        let host = [
            point.cpu_percent,
            point.memory_used_bytes,
            point.process_cpu_percent,
            point.process_rss_bytes,
        ];
        self.host.iter_mut().zip(host).for_each(|(sum, value)| sum.add(value));
        for gpu in &point.gpus {
            let values = [
                gpu.utilization_percent,
                gpu.memory_used_bytes,
                gpu.temperature_celsius,
                gpu.power_watts,
            ];
            self.gpu(gpu.index)
                .iter_mut()
                .zip(values)
                .for_each(|(sum, value)| sum.add(value));
        }
    }

    fn join(&mut self, other: &Self) {
        self.host
            .iter_mut()
            .zip(&other.host)
            .for_each(|(sum, other)| sum.join(*other));
        for (index, sums) in &other.gpus {
            self.gpu(*index)
                .iter_mut()
                .zip(sums)
                .for_each(|(sum, other)| sum.join(*other));
        }
    }

    fn gpu(&mut self, index: u32) -> &mut [Sum] {
        let place = self
            .gpus
            .binary_search_by_key(&index, |(index, _)| *index)
            .unwrap_or_else(|place| {
                self.gpus.insert(place, (index, [Sum::default(); 4]));
                place
            });
        self.gpus
            .get_mut(place)
            .map(|(_, sums)| sums.as_mut_slice())
            .unwrap_or_default()
    }

    /// The means; `None` if nothing was added.
    fn point(&self) -> Option<Point> {
        let [cpu, memory, process_cpu, rss] = self.host.map(Sum::mean);
        let gpus: Vec<GpuPoint> = self.gpus.iter().map(|(index, sums)| gpu_point(*index, *sums)).collect();
        let silent = gpus.is_empty() && [cpu, memory, process_cpu, rss].iter().all(Option::is_none);
        (!silent).then_some(Point {
            gpus,
            cpu_percent: cpu,
            memory_used_bytes: memory,
            process_cpu_percent: process_cpu,
            process_rss_bytes: rss,
        })
    }
}

fn gpu_point(index: u32, sums: [Sum; 4]) -> GpuPoint {
    let [utilization_percent, memory_used_bytes, temperature_celsius, power_watts] = sums.map(Sum::mean);
    GpuPoint {
        index,
        utilization_percent,
        memory_used_bytes,
        temperature_celsius,
        power_watts,
    }
}

impl Sum {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.join(Self { sum: value, count: 1 });
        }
    }

    fn join(&mut self, other: Self) {
        self.sum += other.sum;
        self.count = self.count.saturating_add(other.count);
    }

    fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A time that is a whole day.
    const DAY: u64 = 86_400 * 20_000;

    fn cpu(percent: f64) -> Point {
        Point {
            cpu_percent: Some(percent),
            ..Point::default()
        }
    }

    fn cpus(window: &HistoryWindow) -> Vec<Option<f64>> {
        window
            .points
            .iter()
            .map(|point| point.as_ref().and_then(|point| point.cpu_percent))
            .collect()
    }

    #[test]
    fn the_last_seconds_are_told_one_by_one_with_gaps() {
        let mut history = History::new();
        for (second, percent) in [(1, 10.0), (2, 20.0), (4, 40.0)] {
            history.push(DAY + second, &cpu(percent));
        }
        let window = history.window(DAY + 4, 4, 1);
        assert_eq!((window.start, window.step_seconds), (DAY + 1, 1));
        assert_eq!(cpus(&window), [Some(10.0), Some(20.0), None, Some(40.0)]);
    }

    #[test]
    fn wider_steps_are_means_of_what_was_sampled() {
        let mut history = History::new();
        (0..10).for_each(|second| history.push(DAY + second, &cpu(second as f64)));
        assert_eq!(cpus(&history.window(DAY + 9, 10, 5)), [Some(2.0), Some(7.0)]);
    }

    #[test]
    fn a_long_window_is_coarser_and_says_so() {
        let mut history = History::new();
        (0..7200).for_each(|second| history.push(DAY + second, &cpu(50.0)));
        let now = DAY + 7199;
        let hour = history.window(now, 3600, 1);
        assert_eq!((hour.step_seconds, hour.points.len()), (10, 360));
        assert!(hour.points.iter().all(Option::is_some));
        let day = history.window(now, 86_400, 1);
        assert_eq!((day.step_seconds, day.points.len()), (60, 1440));
        assert_eq!(day.points.iter().flatten().count(), 120);
        assert_eq!(history.window(now, 600, 1).points.len(), 600);
    }

    #[test]
    fn a_value_that_is_not_known_is_no_zero_in_the_mean() {
        let mut history = History::new();
        let gpu = |power| GpuPoint {
            index: 1,
            power_watts: power,
            ..GpuPoint::default()
        };
        history.push(
            DAY,
            &Point {
                gpus: vec![gpu(Some(100.0))],
                ..Point::default()
            },
        );
        history.push(
            DAY + 1,
            &Point {
                gpus: vec![gpu(None)],
                ..cpu(8.0)
            },
        );
        let window = history.window(DAY + 4, 5, 5);
        let point = window.points.first().unwrap().as_ref().unwrap();
        assert_eq!(
            (point.cpu_percent, point.gpus.first().unwrap().power_watts),
            (Some(8.0), Some(100.0))
        );
        assert_eq!(point.process_rss_bytes, None);
    }

    proptest! {
        #[test]
        fn memory_and_answers_are_bounded_whatever_the_clock_does(
            seconds in proptest::collection::vec(0_u64..400_000, 0..200),
            window in 0_u64..200_000,
            step in 0_u64..1000,
        ) {
            let mut history = History::new();
            for second in &seconds {
                history.push(*second, &cpu(1.0));
            }
            for (tier, (_, kept)) in history.tiers.iter().zip(TIERS) {
                prop_assert!(tier.steps.len() <= kept);
            }
            let now = seconds.iter().copied().max().unwrap_or(0);
            let answer = history.window(now, window, step);
            prop_assert!(answer.points.len() <= 2000);
            prop_assert!(answer.step_seconds >= step.max(1));
            prop_assert_eq!(cpus(&answer).last().copied().flatten().is_some(), !seconds.is_empty());
        }
    }
}
