"""An AI that answers a run's questions beside people, or in their place: any model that takes pictures over HTTP."""
