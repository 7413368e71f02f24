//! Tests of the simulator as a whole, through its own door.
