"""What training will take, and the parameters, MACs, latency and memory of each variant."""
