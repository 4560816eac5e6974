//! Where the boxes of a graph stand: in layers from above, as few lines crossing as a few sweeps find.
//!
//! Every box stands one layer below the lowest of those it reads. A line that passes a layer takes a place of its own in it.
//! Within a layer, boxes are ordered by the mean place of what they are tied to, then moved towards it.
//!
//! # References
//! Sugiyama, Tagawa and Toda (1981), "Methods for visual understanding of hierarchical system structures".

/// Between boxes of a layer.
const GAP: f64 = 28.0;
/// Between layers.
const RANK_GAP: f64 = 40.0;
/// The room of a line that passes a layer.
const LINE: f64 = 10.0;
/// Of more passages than these no picture can be read, and none would be made in good time: lines go straight then.
const PASSAGES: usize = 50_000;
const ORDERINGS: usize = 12;
const MOVES: usize = 24;

/// A box to be placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub width: f64,
    pub height: f64,
    /// Whether it stands right above the first that reads it, not at the top.
    pub is_input: bool,
}

/// Where all stands.
#[derive(Debug)]
pub(super) struct Layout {
    /// The left end and the top of each box.
    pub places: Vec<(f64, f64)>,
    /// Of each line, where it passes layers: x, and y from and to.
    pub routes: Vec<Vec<(f64, f64, f64)>>,
    pub width: f64,
    pub height: f64,
}

/// A box or the passage of a line in a layer.
struct Slot {
    rank: usize,
    width: f64,
    /// The slots above and below that it is tied to.
    above: Vec<usize>,
    below: Vec<usize>,
    /// The middle.
    x: f64,
    is_passage: bool,
}

/// Places boxes that read each other by `lines` from a box to one after it.
pub(super) fn place(boxes: &[Extent], lines: &[(usize, usize)]) -> Layout {
    let ranks = ranks(boxes, lines);
    let slot = |(rank, extent): (&usize, &Extent)| Slot {
        rank: *rank,
        width: extent.width,
        above: vec![],
        below: vec![],
        x: 0.0,
        is_passage: false,
    };
    let mut slots: Vec<Slot> = ranks.iter().zip(boxes).map(slot).collect();
    let count: usize = lines.iter().map(|(from, to)| ranks[*to] - ranks[*from]).sum();
    let passages: Vec<Vec<usize>> = match count {
        0..=PASSAGES => lines.iter().map(|line| connect(&mut slots, *line)).collect(),
        _ => vec![vec![]; lines.len()],
    };
    let mut rows = vec![Vec::new(); ranks.iter().max().map_or(0, |last| last + 1)];
    for (index, slot) in slots.iter().enumerate() {
        rows[slot.rank].push(index);
    }
    order(&mut rows, &slots);
    line_up(&rows, &mut slots);

    let left = slots.iter().map(|slot| slot.x - slot.width / 2.0).fold(f64::INFINITY, f64::min);
    let right = slots.iter().map(|slot| slot.x + slot.width / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let mut bands: Vec<(f64, f64)> = Vec::new();
    let mut y = 0.0;
    for row in &rows {
        let height = row.iter().filter_map(|slot| boxes.get(*slot)).map(|extent| extent.height).fold(0.0, f64::max);
        bands.push((y, y + height));
        y += height + RANK_GAP;
    }
    let of_box = |(slot, extent): (&Slot, &Extent)| {
        let (top, bottom) = bands[slot.rank];
        (slot.x - slot.width / 2.0 - left, (top + bottom - extent.height) / 2.0)
    };
    let of_passage = |slot: &usize| {
        let (top, bottom) = bands[slots[*slot].rank];
        (slots[*slot].x - left, top, bottom)
    };
    Layout {
        places: slots.iter().zip(boxes).map(of_box).collect(),
        routes: passages.iter().map(|line| line.iter().map(of_passage).collect()).collect(),
        width: (right - left).max(0.0),
        height: (y - RANK_GAP).max(0.0),
    }
}

/// The layer of each box: one below the lowest that it reads.
fn ranks(boxes: &[Extent], lines: &[(usize, usize)]) -> Vec<usize> {
    let mut ranks = vec![0; boxes.len()];
    // Lines lead to later boxes, so that what a box reads has its layer.
    let mut sorted = lines.to_vec();
    sorted.sort_unstable_by_key(|(_, to)| *to);
    for (from, to) in sorted {
        ranks[to] = ranks[to].max(ranks[from] + 1);
    }
    let mut nearest = vec![None; boxes.len()];
    for (from, to) in lines {
        let rank = nearest[*from].get_or_insert(ranks[*to]);
        *rank = ranks[*to].min(*rank);
    }
    for input in (0..boxes.len()).filter(|index| boxes[*index].is_input) {
        let near = nearest[input].map_or(0, |first: usize| first.saturating_sub(1));
        ranks[input] = ranks[input].max(near);
    }
    ranks
}

/// Ties the ends of a line, by a passage in each layer between them; answers these.
fn connect(slots: &mut Vec<Slot>, (from, to): (usize, usize)) -> Vec<usize> {
    let mut passages = Vec::new();
    let mut last = from;
    for rank in slots[from].rank + 1..slots[to].rank {
        slots.push(Slot { rank, width: LINE, above: vec![], below: vec![], x: 0.0, is_passage: true });
        let next = slots.len() - 1;
        tie(slots, last, next);
        passages.push(next);
        last = next;
    }
    tie(slots, last, to);
    passages
}

fn tie(slots: &mut [Slot], above: usize, below: usize) {
    slots[above].below.push(below);
    slots[below].above.push(above);
}

/// Orders each row by what its slots are tied to, down and up in turn, and keeps the order with the fewest crossings.
fn order(rows: &mut Vec<Vec<usize>>, slots: &[Slot]) {
    let mut best = (crossings(rows, slots), rows.clone());
    for sweep in 0..ORDERINGS {
        let down = sweep % 2 == 0;
        let sequence: Vec<usize> =
            if down { (1..rows.len()).collect() } else { (0..rows.len()).rev().skip(1).collect() };
        for row in sequence {
            let other = if down { row - 1 } else { row + 1 };
            let place = places(&rows[other], slots.len());
            let mean = |(at, slot): (usize, &usize)| {
                let tied = if down { &slots[*slot].above } else { &slots[*slot].below };
                let sum: usize = tied.iter().map(|slot| place[*slot]).sum();
                if tied.is_empty() { at as f64 } else { sum as f64 / tied.len() as f64 }
            };
            let mut keyed: Vec<(f64, usize)> =
                rows[row].iter().enumerate().map(|(at, slot)| (mean((at, slot)), *slot)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[row] = keyed.into_iter().map(|(_, slot)| slot).collect();
        }
        let count = crossings(rows, slots);
        if count < best.0 {
            best = (count, rows.clone());
        }
    }
    *rows = best.1;
}

/// The place of each slot in its row.
fn places(row: &[usize], count: usize) -> Vec<usize> {
    let mut places = vec![0; count];
    row.iter().enumerate().for_each(|(place, slot)| places[*slot] = place);
    places
}

/// How many pairs of lines between neighbouring rows cross.
fn crossings(rows: &[Vec<usize>], slots: &[Slot]) -> usize {
    let between = |pair: &[Vec<usize>]| {
        let below = places(&pair[1], slots.len());
        let ends = |slot: &usize| {
            let mut ends: Vec<usize> = slots[*slot].below.iter().map(|end| below[*end]).collect();
            ends.sort_unstable();
            ends
        };
        inversions(pair[0].iter().flat_map(ends), pair[1].len())
    };
    rows.windows(2).map(between).sum()
}

/// How many pairs of numbers below `limit` stand the larger first: for each, those before it that are larger are counted in
/// sums over ranges whose lengths are powers of two (Fenwick's tree).
fn inversions(numbers: impl Iterator<Item = usize>, limit: usize) -> usize {
    let mut sums = vec![0; limit + 1];
    let mut count = 0;
    for (before, number) in numbers.enumerate() {
        let mut place = number + 1;
        let mut not_larger = 0;
        while place > 0 {
            not_larger += sums[place];
            place &= place - 1;
        }
        count += before - not_larger;
        place = number + 1;
        while place <= limit {
            sums[place] += 1;
            place += place & place.wrapping_neg();
        }
    }
    count
}

/// Moves the slots of each row towards what they are tied to, in their order and with gaps between them.
fn line_up(rows: &[Vec<usize>], slots: &mut [Slot]) {
    for row in rows {
        spread(row, slots, &vec![0.0; row.len()]);
    }
    for sweep in 0..MOVES {
        let down = sweep % 2 == 0;
        let wanted = |slot: &usize, slots: &[Slot]| {
            let own = &slots[*slot];
            let tied = match (down, own.above.is_empty(), own.below.is_empty()) {
                (true, false, _) | (false, false, true) => &own.above,
                _ => &own.below,
            };
            let sum: f64 = tied.iter().map(|slot| slots[*slot].x).sum();
            if tied.is_empty() { own.x } else { sum / tied.len() as f64 }
        };
        let order: Vec<usize> = if down { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        for row in order {
            let wishes: Vec<f64> = rows[row].iter().map(|slot| wanted(slot, slots)).collect();
            spread(&rows[row], slots, &wishes);
        }
    }
}

/// Puts the slots of a row as near to their wishes as order and gaps allow: the least sum of squares, where those that push
/// each other move as one.
fn spread(row: &[usize], slots: &mut [Slot], wishes: &[f64]) {
    // How far each is from the first when all stand close.
    let mut offsets = vec![0.0];
    for pair in row.windows(2) {
        let step = (slots[pair[0]].width + slots[pair[1]].width) / 2.0 + GAP;
        offsets.push(offsets[offsets.len() - 1] + step);
    }
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (index, wish) in wishes.iter().enumerate() {
        // A line that bends is seen more than a box that stands aside.
        let weight = if slots[row[index]].is_passage { 4.0 } else { 1.0 };
        blocks.push((weight * (wish - offsets[index]), weight, 1));
        while let [.., a, b] = blocks[..]
            && a.0 / a.1 >= b.0 / b.1
        {
            blocks.truncate(blocks.len() - 2);
            blocks.push((a.0 + b.0, a.1 + b.1, a.2 + b.2));
        }
    }
    let begins = blocks.iter().flat_map(|(sum, weight, count)| std::iter::repeat_n(sum / weight, *count));
    for ((slot, begin), offset) in row.iter().zip(begins).zip(offsets) {
        slots[*slot].x = begin + offset;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(count: usize) -> Vec<Extent> {
        vec![Extent { width: 100.0, height: 50.0, is_input: false }; count]
    }

    #[test]
    fn boxes_stand_below_what_they_read_and_never_on_each_other() {
        // A block with a shortcut, two branches that join, and a box tied to nothing.
        let lines = [(0, 1), (1, 2), (2, 3), (0, 3), (3, 4), (3, 5), (4, 6), (5, 6), (0, 6)];
        let layout = place(&boxes(8), &lines);
        for (from, to) in lines {
            assert!(layout.places[from].1 + 50.0 + RANK_GAP <= layout.places[to].1, "{from} -> {to}: {layout:?}");
        }
        for (i, a) in layout.places.iter().enumerate() {
            assert!(a.0 >= 0.0 && a.0 + 100.0 <= layout.width + 1e-6 && a.1 + 50.0 <= layout.height, "{layout:?}");
            for b in &layout.places[i + 1..] {
                assert!((a.0 - b.0).abs() >= 100.0 + GAP - 1e-6 || (a.1 - b.1).abs() >= 50.0, "{layout:?}");
            }
        }
        // Lines that pass layers pass beside the boxes there.
        assert_eq!(layout.routes[3].len(), 2);
        for (x, top, bottom) in layout.routes.iter().flatten() {
            let is_in = |place: &(f64, f64)| place.1 < *bottom && place.1 + 50.0 > *top;
            for place in layout.places.iter().filter(|place| is_in(place)) {
                assert!(*x < place.0 || *x > place.0 + 100.0, "{x}: {layout:?}");
            }
        }
    }

    #[test]
    fn branches_are_ordered_so_that_no_lines_cross() {
        // 0 and 1 are read by 2..=4 crosswise as they are numbered: 0 by 3, 1 by 2 and 4; 3 by 5, 2 and 4 by 6.
        let lines = [(0, 3), (1, 2), (1, 4), (2, 6), (4, 6), (3, 5)];
        let layout = place(&boxes(7), &lines);
        let x = |index: usize| layout.places[index].0;
        let (left, right) = (x(0).min(x(1)), x(0).max(x(1)));
        assert!(left < right && (x(0) < x(1)) == (x(3) < x(2)) && (x(0) < x(1)) == (x(5) < x(6)), "{layout:?}");
        let chain = place(&boxes(4), &[(0, 1), (1, 2), (2, 3)]);
        assert!(chain.places.iter().all(|(x, _)| *x == 0.0) && chain.width == 100.0, "{chain:?}");
        let all = layout.places.iter().map(|(x, _)| x + 100.0).chain(layout.routes.iter().flatten().map(|(x, ..)| *x));
        assert!(all.fold(0.0, f64::max) >= layout.width - LINE, "{layout:?}");
    }

    #[test]
    fn graphs_made_to_take_long_are_placed_in_good_time() {
        let count = 2_000;
        let chain = (1..count).map(|to| (to - 1, to));
        let lines: Vec<(usize, usize)> = chain.chain((1..count).map(|to| (0, to))).collect();
        let layout = place(&boxes(count), &lines);
        assert!(layout.places.len() == count && layout.routes.iter().all(Vec::is_empty));
    }

    #[test]
    fn what_thousands_of_lines_lead_to_is_placed_in_good_time() {
        let count = 20_000;
        let mut all = boxes(count + 1);
        all[..count].iter_mut().for_each(|input| input.is_input = true);
        let lines: Vec<(usize, usize)> = (0..count).map(|from| (from, count)).collect();
        let begin = std::time::Instant::now();
        let layout = place(&all, &lines);
        assert!(begin.elapsed() < std::time::Duration::from_secs(2), "{:?}", begin.elapsed());
        assert!(layout.places[..count].iter().all(|(_, top)| *top < layout.places[count].1));
    }

    #[test]
    fn crossings_are_counted_as_pairs_are() {
        let numbers = [3, 1, 4, 1, 5, 2, 6, 5, 3, 5, 0];
        let pairs = numbers.iter().enumerate().flat_map(|(at, a)| numbers[at + 1..].iter().filter(move |b| *b < a));
        assert_eq!(inversions(numbers.into_iter(), 7), pairs.count());
    }

    #[test]
    fn an_input_stands_above_its_first_reader() {
        let mut all = boxes(4);
        all[2].is_input = true;
        let layout = place(&all, &[(0, 1), (1, 3), (2, 3)]);
        assert_eq!(layout.places[2].1, layout.places[1].1);
        // One that reads something stands below that all the same.
        let layout = place(&all, &[(0, 1), (1, 2)]);
        assert!(layout.places[2].1 > layout.places[1].1, "{layout:?}");
    }
}
