//! What others may read of the agent: its status with what is wrong, its metrics' exposition, and the explanation of a
//! decision.

pub mod curves;
pub mod explain;
pub mod exposition;
pub mod recent;
pub mod status;
pub mod trouble;
