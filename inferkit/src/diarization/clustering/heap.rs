//! The least of many values that change, with the key it belongs to.

/// A binary heap of one value for each key `0..n`; the value of any key still inside can change.
///
/// Of equal values it is the shape of the heap that decides which comes first. Building, replacing and removing move
/// items exactly as scipy's (`cluster/_structures.pxi`), because the order of equal merges decides speakers' names.
#[derive(Debug)]
pub(super) struct Heap {
    values: Vec<f64>,
    key_at: Vec<usize>,
    place_of: Vec<usize>,
}

impl Heap {
    /// A heap of `values`; key `i` has value `i`.
    pub(super) fn new(values: Vec<f64>) -> Self {
        let keys: Vec<usize> = (0..values.len()).collect();
        let mut heap = Self {
            values,
            key_at: keys.clone(),
            place_of: keys,
        };
        for place in (0..heap.values.len() / 2).rev() {
            heap.sift_down(place);
        }
        heap
    }

    /// The key with the least value, and the value.
    pub(super) fn least(&self) -> Option<(usize, f64)> {
        Some((*self.key_at.first()?, *self.values.first()?))
    }

    /// Takes the least value out.
    pub(super) fn remove_least(&mut self) {
        let Some(last) = self.values.len().checked_sub(1) else {
            return;
        };
        self.swap(0, last);
        self.values.pop();
        self.key_at.pop();
        self.sift_down(0);
    }

    /// Gives `key`, which must be inside, another value.
    pub(super) fn change(&mut self, key: usize, value: f64) {
        let place = self.place_of[key];
        let before = std::mem::replace(&mut self.values[place], value);
        if value < before {
            self.sift_up(place);
        } else {
            self.sift_down(place);
        }
    }

    fn sift_up(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.values[parent] <= self.values[place] {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
    }

    fn sift_down(&mut self, mut place: usize) {
        loop {
            let mut child = 2 * place + 1;
            if child >= self.values.len() {
                break;
            }
            if child + 1 < self.values.len() && self.values[child + 1] < self.values[child] {
                child += 1;
            }
            if self.values[place] <= self.values[child] {
                break;
            }
            self.swap(place, child);
            place = child;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.values.swap(a, b);
        self.key_at.swap(a, b);
        self.place_of[self.key_at[a]] = a;
        self.place_of[self.key_at[b]] = b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_out_in_order_after_changes() {
        let mut heap = Heap::new(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        heap.change(1, 6.0);
        heap.change(0, 0.5);
        let mut order = Vec::new();
        while let Some((key, _)) = heap.least() {
            order.push(key);
            heap.remove_least();
        }
        assert_eq!(order, [0, 3, 4, 2, 1]);
    }

    #[test]
    fn nothing_is_the_least_of_nothing() {
        let mut heap = Heap::new(Vec::new());
        heap.remove_least();
        assert_eq!(heap.least(), None);
    }
}
