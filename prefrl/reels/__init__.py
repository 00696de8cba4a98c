"""Videos of a run (`prefrl render`): answered questions, highest and lowest predicted returns, the policy at its checkpoints."""
