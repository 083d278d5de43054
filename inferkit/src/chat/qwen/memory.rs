//! How much memory a chat model takes: whether its weights fit, and how much of the rest becomes cache.

use crate::chat::decoder::CacheSize;
use crate::chat::decoder::MemoryEstimate;
use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::monitor::GpuMonitor;
use crate::monitor::HostMonitor;
use crate::wrapper::MemoryRange;

/// Longest context unless asked for more: few conversations are longer, and cache is dear.
const LONGEST_BY_DEFAULT: usize = 32_768;

/// Full contexts that the cache holds if memory allows.
const CONTEXTS: usize = 4;

/// The part of the free memory beside the weights that the cache takes of its own accord.
const SHARE: u64 = 4;

/// Fewest tokens of cache that are of use: a question and an answer.
const LEAST_TOKENS: usize = 1024;

/// What is wanted of a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// Longest prompt and answer in tokens.
    pub(super) max_model_len: usize,
    /// Most bytes of weights and cache together.
    pub(super) budget: Option<u64>,
    pub(super) block_size: usize,
    /// Whether an estimate that does not fit is ignored.
    pub(super) force: bool,
}

/// What a model gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemoryPlan {
    pub(super) cache: CacheSize,
    pub(super) max_model_len: usize,
}

/// Longest prompt and answer in tokens, memory permitting, of a model that is made for `made_for`.
pub(super) fn longest_context(wanted: Option<usize>, made_for: usize) -> usize {
    wanted.unwrap_or(LONGEST_BY_DEFAULT).min(made_for).max(1)
}

/// Divides the `available` bytes, where they are known, into weights and cache.
///
/// # Errors
/// [`Error::Unavailable`] (`insufficient_memory`) with both numbers when weights and the least useful cache
/// exceed what is available or the budget.
pub(super) fn plan(estimate: &MemoryEstimate, wish: &Wish, available: Option<u64>) -> Result<MemoryPlan> {
    let max_model_len = wish.max_model_len;
    let token_bytes = estimate.cache_bytes_per_token.max(1);
    let least = LEAST_TOKENS.min(max_model_len);
    let least_bytes = (round_up(least, wish.block_size) as u64).saturating_mul(token_bytes);
    let needed = estimate.weights_bytes.saturating_add(least_bytes);
    let limit = [available, wish.budget].into_iter().flatten().min();
    if !wish.force
        && let Some(limit) = limit.filter(|&limit| limit < needed)
    {
        return Err(too_little(estimate.weights_bytes, least_bytes, limit, wish.budget));
    }
    let most_bytes = match (wish.budget, limit) {
        (Some(_), limit) => limit.map(|limit| limit.saturating_sub(estimate.weights_bytes)),
        (None, Some(free)) => Some(free.saturating_sub(estimate.weights_bytes) / SHARE),
        (None, None) => None,
    };
    let most = most_bytes.map_or(usize::MAX, |bytes| {
        usize::try_from(bytes / token_bytes).unwrap_or(usize::MAX)
    });
    // A budget is meant to be used; left to itself, the cache stops at a few contexts.
    let wanted = if wish.budget.is_some() {
        usize::MAX
    } else {
        max_model_len.saturating_mul(CONTEXTS)
    };
    let tokens = wanted.min(most).min(MOST_TOKENS).max(least);
    let cache = CacheSize {
        blocks: tokens.div_ceil(wish.block_size).saturating_add(1),
        block_size: wish.block_size,
    };
    Ok(MemoryPlan { cache, max_model_len })
}

/// From the least useful cache in the smallest numbers to the wanted one in the largest, beside `weights_bytes`.
///
/// * `token_bytes`: least and most that a token of the cache takes
pub(super) fn range(weights_bytes: u64, token_bytes: (u64, u64), wish: &Wish, available: Option<u64>) -> MemoryRange {
    let least = round_up(LEAST_TOKENS.min(wish.max_model_len), wish.block_size) as u64;
    let estimate = MemoryEstimate {
        weights_bytes,
        cache_bytes_per_token: token_bytes.1,
    };
    let wanted = Wish { force: true, ..*wish };
    let most = plan(&estimate, &wanted, available).map_or(0, |plan| {
        (plan.cache.blocks as u64).saturating_mul(plan.cache.block_size as u64)
    });
    let bytes = |tokens: u64, each: u64| weights_bytes.saturating_add(tokens.saturating_mul(each));
    let low = bytes(least, token_bytes.0);
    MemoryRange::new(low, bytes(most, token_bytes.1).max(low))
}

/// Slots are counted in 32 bits; this leaves room for rounding up.
const MOST_TOKENS: usize = 1 << 31;

const fn round_up(tokens: usize, block_size: usize) -> usize {
    // One block more is block 0.
    (tokens.div_ceil(block_size) + 1) * block_size
}

fn too_little(weights: u64, cache: u64, limit: u64, budget: Option<u64>) -> Error {
    let needed = weights.saturating_add(cache);
    let (what, remedy) = if budget == Some(limit) {
        ("the memory budget is", "raise memory_budget or choose a smaller model")
    } else {
        (
            "free are",
            "unload another model, choose a smaller one, or load with force",
        )
    };
    let message = format!(
        "loading needs {needed} bytes ({weights} of weights, {cache} of cache at least), and {what} {limit} bytes: \
         {remedy}"
    );
    Error::unavailable(UnavailableFault::InsufficientMemory, message)
}

/// The bytes that are free on the device of that name, if the machine tells.
pub(super) fn available(device: &str) -> Option<u64> {
    if let Some(index) = device.strip_prefix("cuda:") {
        let gpus = GpuMonitor::new().sample().gpus;
        let gpu = gpus.into_iter().find(|gpu| index.parse() == Ok(gpu.index))?;
        return gpu.memory_free_bytes;
    }
    let host = HostMonitor::new([]).sample();
    let in_group = match (host.cgroup_memory_limit_bytes, host.process.rss_bytes) {
        (Some(limit), Some(used)) => Some(limit.saturating_sub(used)),
        (limit, None) => limit,
        (None, Some(_)) => None,
    };
    [host.memory_available_bytes, in_group].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESTIMATE: MemoryEstimate = MemoryEstimate {
        weights_bytes: 1_000_000,
        cache_bytes_per_token: 100,
    };
    const WISH: Wish = Wish {
        max_model_len: 32_768,
        budget: None,
        block_size: 32,
        force: false,
    };

    fn tokens(wish: &Wish, available: Option<u64>) -> usize {
        let plan = plan(&ESTIMATE, wish, available).unwrap();
        (plan.cache.blocks - 1) * plan.cache.block_size
    }

    #[test]
    fn with_memory_in_plenty_the_cache_holds_four_contexts() {
        assert_eq!(tokens(&WISH, Some(1 << 40)), 4 * 32_768);
        assert_eq!(tokens(&WISH, None), 4 * 32_768);
        assert_eq!(
            tokens(
                &Wish {
                    max_model_len: 100,
                    ..WISH
                },
                None
            ),
            416,
            "in whole blocks"
        );
    }

    #[test]
    fn the_context_is_never_longer_than_the_model_is_made_for() {
        assert_eq!(longest_context(None, 512), 512);
        assert_eq!(longest_context(Some(1000), 512), 512);
        assert_eq!(longest_context(Some(100), 512), 100);
        assert_eq!(longest_context(None, 131_072), LONGEST_BY_DEFAULT);
    }

    #[test]
    fn of_scarce_memory_the_cache_takes_a_quarter_and_never_less_than_is_useful() {
        assert_eq!(tokens(&WISH, Some(1_000_000 + 1_280_000)), 3200);
        assert_eq!(tokens(&WISH, Some(1_000_000 + 110_000)), 1024);
    }

    #[test]
    fn a_budget_is_used_whole_and_bounded_by_what_is_free() {
        let wish = Wish {
            budget: Some(1_000_000 + 640_000),
            ..WISH
        };
        assert_eq!(tokens(&wish, Some(1 << 40)), 6400);
        assert_eq!(tokens(&wish, Some(1_320_000)), 3200);
    }

    #[test]
    fn a_load_takes_from_the_least_useful_to_the_wanted_cache() {
        let plenty = range(1_000_000, (50, 100), &WISH, None);
        assert_eq!(plenty.low_bytes, 1_000_000 + 1056 * 50, "1024 tokens and block 0");
        assert_eq!(
            plenty.high_bytes,
            1_000_000 + (4 * 32_768 + 32) * 100,
            "four contexts and block 0"
        );
        let scarce = range(1_000_000, (50, 100), &WISH, Some(1_000_000));
        assert!(scarce.high_bytes < plenty.high_bytes && scarce.high_bytes >= scarce.low_bytes);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers_unless_forced() {
        let error = plan(&ESTIMATE, &WISH, Some(1_050_000)).unwrap_err();
        assert_eq!(error.code(), "insufficient_memory");
        let message = error.to_string();
        assert!(
            message.contains("needs 1105600 bytes") && message.contains("free are 1050000 bytes"),
            "{message}"
        );

        let wish = Wish {
            budget: Some(900_000),
            ..WISH
        };
        let error = plan(&ESTIMATE, &wish, Some(1 << 40)).unwrap_err();
        assert!(error.to_string().contains("raise memory_budget"), "{error}");
        assert_eq!(tokens(&Wish { force: true, ..WISH }, Some(1_050_000)), 1024);
    }

    #[test]
    fn numbers_at_the_edge_do_not_overflow() {
        let huge = MemoryEstimate {
            weights_bytes: u64::MAX,
            cache_bytes_per_token: u64::MAX,
        };
        assert!(plan(&huge, &WISH, Some(u64::MAX)).is_ok());
        let none = MemoryEstimate {
            weights_bytes: 0,
            cache_bytes_per_token: 0,
        };
        plan(
            &none,
            &Wish {
                budget: Some(u64::MAX),
                ..WISH
            },
            None,
        )
        .unwrap();
    }

    #[test]
    fn this_machine_tells_what_is_free() {
        assert!(available("cpu").is_none_or(|bytes| bytes > 0));
        assert_eq!(available("cuda:97"), None);
    }
}
