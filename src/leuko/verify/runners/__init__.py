"""What a worker is told for each kind of runner, and what its frames mean."""

from leuko.verify.runners.reading import Reading
from leuko.verify.runners.telling import cancelled, told

__all__ = ["Reading", "cancelled", "told"]
