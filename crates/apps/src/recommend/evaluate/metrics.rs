//! How good ranked lists are, for each user and for all.

use footlight::tensor::{Philox, RandomKey};

/// The length of the lists that are judged.
pub const K: usize = 10;
/// Resamples of the bootstrap.
const RESAMPLES: usize = 1000;

/// The names of the metrics of a list.
pub const NAMES: [&str; 6] = ["ndcg@10", "hr@10", "precision@10", "recall@10", "map@10", "mrr@10"];

/// The metrics of a list by [`NAMES`], for the items that are relevant.
///
/// With `h_r` 1 for a hit at rank `r` and `n` relevant items: `ndcg = sum h_r / log2(r + 1)` over its best, `hr` whether
/// there is a hit, `precision = hits / 10`, `recall = hits / n`, `map = sum h_r hits_r / r` over `min(n, 10)`, `mrr` one over
/// the rank of the first hit.
///
/// # Examples
/// ```
/// use footlight_apps::recommend::evaluate::of_list;
/// assert_eq!(of_list(&[7, 3, 5], &[3]), [1.0 / 3f64.log2(), 1.0, 0.1, 1.0, 0.5, 0.5]);
/// ```
pub fn of_list(list: &[u32], relevant: &[u32]) -> [f64; 6] {
    let discount = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
    let most = relevant.len().min(K);
    let best: f64 = (1..=most).map(discount).sum();
    let (mut gain, mut hits, mut precisions, mut first) = (0.0, 0.0, 0.0, 0.0);
    for (index, item) in list.iter().take(K).enumerate() {
        if relevant.contains(item) {
            let rank = index + 1;
            hits += 1.0;
            gain += discount(rank);
            precisions += hits / rank as f64;
            first = if first == 0.0 { 1.0 / rank as f64 } else { first };
        }
    }
    let count = relevant.len().max(1) as f64;
    [
        gain / best.max(1.0),
        f64::from(u8::from(hits > 0.0)),
        hits / K as f64,
        hits / count,
        precisions / most.max(1) as f64,
        first,
    ]
}

/// A mean with the interval that holds it with 95 %, by the bootstrap.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The 2.5th percentile of the means of resamples.
    pub low: f64,
    /// The 97.5th.
    pub high: f64,
}

impl Estimate {
    /// Of the values of users, which are drawn again 1,000 times.
    pub fn of(values: &[f64]) -> Estimate {
        let count = values.len().max(1);
        let mean = values.iter().sum::<f64>() / count as f64;
        let mut draw = Philox::new(RandomKey::new(0).child("bootstrap"));
        let mut resample = || {
            let sum: f64 = (0..values.len()).map(|_| values[draw.below(count as u32) as usize]).sum();
            sum / count as f64
        };
        let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
        means.sort_unstable_by(f64::total_cmp);
        Estimate { mean, low: means[RESAMPLES * 25 / 1000], high: means[RESAMPLES * 975 / 1000 - 1] }
    }
}

/// How lists are spread over the items.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// The share of items that are in any list.
    pub coverage: f64,
    /// The mean of `-log2` of the share of users who have seen an item, over all items of all lists.
    pub novelty: f64,
    /// How unequally often items are in lists: 0 where all are equally often, 1 where it is always the same.
    pub gini: f64,
    /// The recall of the most popular items that make up a third of all events, of the next third, and of all others.
    pub recall_by_popularity: [f64; 3],
}

impl Spread {
    /// Of the lists and the relevant items of all users, for items that so many users have seen.
    pub fn of(lists: &[(&[u32], &[u32])], seen_by: &[usize], users: usize) -> Spread {
        let mut counts = vec![0usize; seen_by.len()];
        let all = lists.iter().flat_map(|(list, _)| list.iter().take(K));
        let mut surprise = 0.0;
        for item in all {
            counts[*item as usize] += 1;
            surprise -= ((seen_by[*item as usize].max(1)) as f64 / users.max(1) as f64).log2();
        }
        let total: usize = counts.iter().sum();
        let coverage = counts.iter().filter(|count| **count > 0).count() as f64 / counts.len().max(1) as f64;
        counts.sort_unstable();
        let ranked: f64 = counts.iter().enumerate().map(|(rank, count)| (rank + 1) as f64 * *count as f64).sum();
        let items = counts.len() as f64;
        let gini = if total == 0 { 0.0 } else { 2.0 * ranked / (items * total as f64) - (items + 1.0) / items };
        let novelty = surprise / total.max(1) as f64;
        Spread { coverage, novelty, gini, recall_by_popularity: by_popularity(lists, seen_by) }
    }
}

fn by_popularity(lists: &[(&[u32], &[u32])], seen_by: &[usize]) -> [f64; 3] {
    let mut order: Vec<usize> = (0..seen_by.len()).collect();
    order.sort_by_key(|item| std::cmp::Reverse(seen_by[*item]));
    let total: usize = seen_by.iter().sum();
    let (mut bucket_of, mut before) = (vec![2; seen_by.len()], 0);
    for item in order {
        bucket_of[item] = (3 * before / total.max(1)).min(2);
        before += seen_by[item];
    }
    let (mut hits, mut wanted) = ([0.0; 3], [0.0; 3]);
    for (list, relevant) in lists {
        for item in *relevant {
            let bucket = bucket_of[*item as usize];
            wanted[bucket] += 1.0;
            hits[bucket] += f64::from(u8::from(list.iter().take(K).any(|listed| listed == item)));
        }
    }
    std::array::from_fn(|bucket| if wanted[bucket] > 0.0 { hits[bucket] / wanted[bucket] } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_list_has_the_best_of_each_metric() {
        let list: Vec<u32> = (0..10).collect();
        assert_eq!(of_list(&list, &list), [1.0; 6]);
        let many: Vec<u32> = (0..20).collect();
        assert_eq!(of_list(&list, &many), [1.0, 1.0, 1.0, 0.5, 1.0, 1.0]);
        assert_eq!(of_list(&list, &[11]), [0.0; 6]);
    }

    #[test]
    fn ranks_count_as_the_definitions_say() {
        let list = [9, 1, 8, 2, 7, 6, 5, 4, 3, 0];
        let got = of_list(&list, &[1, 2, 77, 78]);
        let best = 1.0 + 1.0 / 3f64.log2() + 0.5 + 1.0 / 5f64.log2();
        let wanted = [(1.0 / 3f64.log2() + 1.0 / 5f64.log2()) / best, 1.0, 0.2, 0.5, (0.5 + 0.5) / 4.0, 0.5];
        assert!(got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?} {wanted:?}");
    }

    #[test]
    fn an_interval_holds_the_mean_and_narrows_with_more_values() {
        let values = |count: usize| (0..count).map(|i| f64::from(u8::from(i % 4 == 0))).collect::<Vec<_>>();
        let (few, many) = (Estimate::of(&values(100)), Estimate::of(&values(10_000)));
        for estimate in [few, many] {
            assert!(estimate.low < estimate.mean && estimate.mean < estimate.high);
        }
        // Of n draws with p = 1/4 the mean has the deviation sqrt(p (1 - p) / n).
        assert!(((few.high - few.low) - 2.0 * 1.96 * 0.0433).abs() < 0.03);
        assert!(((many.high - many.low) - 2.0 * 1.96 * 0.00433).abs() < 0.002);
    }

    #[test]
    fn the_same_list_for_all_is_unequal_and_lists_of_all_items_are_equal() {
        let (same, relevant) = ([0u32], [1u32]);
        let lists: Vec<(&[u32], &[u32])> = vec![(&same, &relevant); 50];
        let spread = Spread::of(&lists, &[10, 10, 10, 10], 40);
        assert_eq!((spread.coverage, spread.novelty, spread.gini), (0.25, 2.0, 0.75));
        let all = [[0u32], [1], [2], [3]];
        let lists: Vec<(&[u32], &[u32])> = all.iter().map(|list| (&list[..], &relevant[..])).collect();
        let spread = Spread::of(&lists, &[10, 10, 10, 10], 40);
        assert_eq!((spread.coverage, spread.gini), (1.0, 0.0));
    }
}
