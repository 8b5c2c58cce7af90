//! Types of dispute games: how each decides, and whether what it decides about is an output root.

use std::fmt;

/// The type of a dispute game, as the factory numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GameType(pub u32);

/// What a type's root claim stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootClaim {
    /// The output root of one L2 block: what a proof can start from.
    OutputRoot,
    /// The root of several chains' outputs at one time, from which no single block's output root can be read.
    SuperRoot,
}

impl GameType {
    /// Its name and what it claims; `None` for a type that is not known here (the specification's list, and the OP
    /// Stack's challenger).
    const fn known(self) -> Option<(&'static str, RootClaim)> {
        use RootClaim::{OutputRoot, SuperRoot};
        Some(match self.0 {
            0 => ("cannon", OutputRoot),
            1 => ("permissioned cannon", OutputRoot),
            2 => ("asterisc", OutputRoot),
            3 => ("asterisc kona", OutputRoot),
            4 => ("super cannon", SuperRoot),
            5 => ("super permissioned cannon", SuperRoot),
            6 => ("op succinct", OutputRoot),
            7 => ("super asterisc kona", SuperRoot),
            8 => ("cannon kona", OutputRoot),
            9 => ("super cannon kona", SuperRoot),
            10 => ("zk", OutputRoot),
            254 => ("fast", OutputRoot),
            255 => ("alphabet", OutputRoot),
            1337 => ("kailua", OutputRoot),
            _ => return None,
        })
    }

    /// What its games claim; `None` for an unknown type, whose claims may stand for anything.
    pub fn root_claim(self) -> Option<RootClaim> {
        self.known().map(|(_, claim)| claim)
    }
}

impl fmt::Display for GameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some((name, _)) => write!(f, "{name} (type {})", self.0),
            None => write!(f, "unknown type {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_say_what_they_are() {
        assert_eq!(GameType(0).to_string(), "cannon (type 0)");
        assert_eq!(GameType(77).to_string(), "unknown type 77");
        assert_eq!(GameType(77).root_claim(), None);
        assert_eq!(GameType(255).root_claim(), Some(RootClaim::OutputRoot));
        assert_eq!(GameType(5).root_claim(), Some(RootClaim::SuperRoot));
    }
}
