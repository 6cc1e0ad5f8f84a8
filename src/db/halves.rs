//! What is held as long as it is asked for, up to a size.

use std::collections::HashMap;
use std::hash::Hash;

/// A newer and an older half: when the newer is full it takes the place of the older, and what nobody has asked for
/// since the last time goes.
pub struct Halves<K, V> {
    newer: HashMap<K, (V, usize)>,
    older: HashMap<K, (V, usize)>,
    /// Of the newer half.
    size: usize,
    most: usize,
}

impl<K: Eq + Hash, V: Clone> Halves<K, V> {
    /// For values of this size altogether, and of half of it at least.
    pub fn new(most: usize) -> Halves<K, V> {
        Halves { newer: HashMap::new(), older: HashMap::new(), size: 0, most }
    }

    pub fn get(&mut self, key: &K) -> Option<V> {
        if let Some((value, _)) = self.newer.get(key) {
            return Some(value.clone());
        }
        let (key, (value, size)) = self.older.remove_entry(key)?;
        self.put(key, value.clone(), size);
        Some(value)
    }

    pub fn put(&mut self, key: K, value: V, size: usize) {
        self.size += size;
        if let Some((_, before)) = self.newer.insert(key, (value, size)) {
            self.size -= before;
        }
        if self.size > self.most / 2 {
            self.older = std::mem::take(&mut self.newer);
            self.size = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asks_for_goes() {
        let mut halves = Halves::new(100);
        for number in 0..200 {
            halves.put(number, number, 7);
            assert_eq!(halves.get(&0), Some(0), "it is asked for all the time");
            assert!((halves.newer.len() + halves.older.len()) * 7 <= 100 + 2 * 7);
        }
        assert_eq!((halves.get(&199), halves.get(&1)), (Some(199), None));
    }

    #[test]
    fn a_value_takes_the_place_of_the_one_before() {
        let mut halves = Halves::new(100);
        for number in 0..200 {
            halves.put("same", number, 30);
            assert_eq!((halves.get(&"same"), halves.size), (Some(number), 30));
        }
    }
}
