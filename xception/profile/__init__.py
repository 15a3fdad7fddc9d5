"""What a network costs: parameters, MACs, activations, latency, memory, and the machine's ceilings."""
