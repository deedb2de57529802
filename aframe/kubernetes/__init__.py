"""Training as a Job of a Kubernetes cluster: the manifests, and the Job from its start to its end."""
