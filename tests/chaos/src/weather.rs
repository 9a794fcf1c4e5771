//! What happens to packets of one direction between two nodes.

use std::time::Duration;

use crate::rng::Rng;

/// Chances in percent, times as drawn per packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// Every packet takes at least so long.
    pub delay: Duration,
    /// And up to so much longer: an exponential distribution, cut at four times its mean.
    pub jitter: Duration,
    /// Packets that wait so long more that later ones overtake them.
    pub reordered: u64,
    /// Packets that never arrive.
    pub lost: u64,
    /// Packets that arrive twice.
    pub doubled: u64,
    /// Packets that arrive with a bit flipped.
    pub damaged: u64,
    /// Nothing arrives.
    pub black_hole: bool,
    /// Bytes in a second; zero: no limit.
    pub bandwidth: u64,
}

/// Mean delay of a packet that is overtaken, if nothing else gives a measure.
const OVERTAKEN: Duration = Duration::from_millis(20);

impl Weather {
    /// When the copies of a packet of so many bytes arrive, counted from now; none if it is lost.
    /// `busy`: how long the line is still busy with earlier ones; it is brought up to date.
    pub fn arrivals(&self, rng: &mut Rng, bytes: usize, busy: &mut Duration) -> Vec<Duration> {
        if self.black_hole || rng.chance(self.lost) {
            return Vec::new();
        }
        if let Some(nanos) = (bytes as u64 * 1_000_000_000).checked_div(self.bandwidth) {
            *busy += Duration::from_nanos(nanos);
        }
        let copies = if rng.chance(self.doubled) { 2 } else { 1 };
        (0..copies).map(|_| *busy + self.time(rng)).collect()
    }

    /// Flips a bit of some packets; answers whether of this one.
    pub fn damage(&self, rng: &mut Rng, bytes: &mut [u8]) -> bool {
        if !rng.chance(self.damaged) {
            return false;
        }
        let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap_or(0);
        let Some(byte) = bytes.get_mut(at) else {
            return false;
        };
        *byte ^= 1 << rng.below(8);
        true
    }

    fn time(&self, rng: &mut Rng) -> Duration {
        let mut time = self.delay + exponential(rng, self.jitter / 2);
        if rng.chance(self.reordered) {
            time += exponential(rng, (self.delay + self.jitter).max(OVERTAKEN));
        }
        time
    }

    /// Something bad, drawn.
    pub fn draw(rng: &mut Rng) -> Self {
        let ms = |low, high, rng: &mut Rng| Duration::from_millis(rng.between(low, high));
        let mut weather = Self::default();
        for _ in 0..2 {
            match rng.below(6) {
                0 => weather.delay = ms(1, 40, rng),
                1 => weather.jitter = ms(1, 60, rng),
                2 => weather.reordered = rng.between(1, 30),
                3 => weather.lost = rng.between(1, 15),
                4 => weather.damaged = rng.between(1, 10),
                _ => weather.doubled = rng.between(1, 30),
            }
        }
        if rng.chance(10) {
            weather.bandwidth = rng.between(100_000, 1_000_000);
        }
        weather
    }
}

/// Drawn with this mean, cut at four times of it.
fn exponential(rng: &mut Rng, mean: Duration) -> Duration {
    const STEPS: u64 = 1 << 20;
    #[expect(clippy::cast_precision_loss, reason = "a chance, not a count")]
    let chance = (rng.below(STEPS) + 1) as f64 / STEPS as f64;
    mean.mul_f64((-chance.ln()).min(4.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(weather: Weather, packets: u64) -> Vec<Duration> {
        let mut rng = Rng::new(1, 1);
        let mut busy = Duration::ZERO;
        (0..packets)
            .flat_map(|_| weather.arrivals(&mut rng, 1000, &mut busy))
            .collect()
    }

    #[test]
    fn fair_weather_changes_nothing() {
        assert_eq!(arrived(Weather::default(), 5), [Duration::ZERO; 5]);
    }

    #[test]
    fn chances_are_kept_about() {
        let lossy = Weather {
            lost: 30,
            ..Weather::default()
        };
        assert!((600..800).contains(&arrived(lossy, 1000).len()));
        let doubled = Weather {
            doubled: 30,
            ..Weather::default()
        };
        assert!((1200..1400).contains(&arrived(doubled, 1000).len()));
        let hole = Weather {
            black_hole: true,
            ..Weather::default()
        };
        assert!(arrived(hole, 1000).is_empty());
    }

    #[test]
    fn a_damaged_packet_differs_in_one_bit() {
        let all = Weather {
            damaged: 100,
            ..Weather::default()
        };
        let mut bytes = [0; 100];
        assert!(all.damage(&mut Rng::new(1, 1), &mut bytes));
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        assert!(!all.damage(&mut Rng::new(1, 1), &mut []));
        assert!(!Weather::default().damage(&mut Rng::new(1, 1), &mut bytes));
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    }

    #[test]
    fn delay_is_a_lower_bound_and_reordering_lets_packets_overtake() {
        let delay = Duration::from_millis(5);
        let late = Weather {
            delay,
            jitter: Duration::from_millis(10),
            ..Weather::default()
        };
        assert!(arrived(late, 1000).iter().all(|at| *at >= delay));
        let overtaken = Weather {
            delay,
            reordered: 20,
            ..Weather::default()
        };
        let at = arrived(overtaken, 1000);
        let late = at.iter().filter(|at| **at > delay).count();
        assert!((100..300).contains(&late), "{late}");
    }

    #[test]
    fn a_slow_line_is_busy_with_each_packet() {
        let slow = Weather {
            bandwidth: 1000,
            ..Weather::default()
        };
        let second = Duration::from_secs(1);
        assert_eq!(arrived(slow, 3), [second, second * 2, second * 3]);
    }
}
