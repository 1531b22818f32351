//! The broker client: takes messages from a broker that a plant already runs, and acknowledges each after its commit.
