"""Cluster scores into events, veto events and estimate their significance."""
