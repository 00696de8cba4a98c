"""Videos that people keep: answered pairs, what the reward model likes, how the policy came to be (`prefrl render`)."""
