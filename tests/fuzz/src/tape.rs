//! Bytes read as choices.

/// What is left of a tape. One that has ended goes on with zeros, so that every tape is a valid
/// one and a shorter one is a simpler one.
#[derive(Debug, Clone)]
pub struct Tape<'a>(&'a [u8]);

impl<'a> Tape<'a> {
    /// From the beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rest, as it is.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// The next bytes, at most so many.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(most.min(self.0.len()));
        self.0 = tail;
        head
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() >= 128
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        let mut all = [0; 8];
        let bytes = self.bytes(8);
        all[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(all)
    }

    /// One of `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        let choice = match bound {
            ..=256 => u64::from(self.byte()),
            257..=65_536 => u64::from(self.byte()) << 8 | u64::from(self.byte()),
            _ => self.number(),
        };
        (choice % bound) as usize
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn pick<'b, T>(&mut self, from: &'b [T]) -> &'b T {
        let at = self.below(from.len());
        &from[at]
    }

    /// Mostly a small number, sometimes one at an edge of its type.
    pub fn small(&mut self, bound: u64) -> u64 {
        match self.byte() {
            255 => self.number(),
            254 => u64::MAX - u64::from(self.byte()),
            253 => 1 << (self.byte() % 64),
            byte => u64::from(byte) % bound.max(1),
        }
    }
}
