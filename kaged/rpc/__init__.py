"""The only package that knows gRPC: doors, identities, and the shape of requests and answers."""
