//! Numbers that follow from a seed: jitter, names, faults in tests. Never for secrets.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014): tiny, and good enough to spread things.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number, from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        // 53 bits are what a double holds.
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next number, from 0 to below `end` (which is at least 1).
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end.max(1)
    }

    /// True with this probability; 0 never, 1 always.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Evenly between zero and `most`.
    pub fn duration(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(self.below(most + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed| {
            let mut random = Random::from_seed(seed);
            [random.next_u64(), random.next_u64()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn a_chance_of_zero_never_comes_and_one_always_does() {
        let mut random = Random::from_seed(1);
        assert!((0..1_000).all(|_| !random.chance(0.0) && random.chance(1.0)));
        assert!((0..1_000).all(|_| random.below(3) < 3));
        let heads = (0..10_000).filter(|_| random.chance(0.5)).count();
        assert!((4_500..5_500).contains(&heads), "{heads}");
    }

    #[test]
    fn durations_stay_within_their_limit() {
        let mut random = Random::from_seed(1);
        assert!((0..1_000).all(|_| random.duration(Duration::from_nanos(3)) <= Duration::from_nanos(3)));
        assert_eq!(random.duration(Duration::ZERO), Duration::ZERO);
        random.duration(Duration::MAX);
    }
}
