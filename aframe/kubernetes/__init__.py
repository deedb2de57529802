"""Training as a Job of a Kubernetes cluster: what the cluster is told, and how the Job is followed to its end."""
