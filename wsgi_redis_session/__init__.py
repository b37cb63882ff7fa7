"""Server-side sessions in Redis for any WSGI application."""

from .config import MISSING
from .config import SessionConfig
from .errors import ConfigurationError
from .errors import HeadersAlreadySent
from .errors import NotSerializable
from .errors import PartlyRevoked
from .errors import SessionClosed
from .errors import SessionError
from .errors import SessionTooLarge
from .errors import SessionUnavailable
from .events import SessionEvent
from .manager import SessionManager
from .middleware import get_session
from .middleware import SessionMiddleware
from .model.compression import CompressedSerializer
from .model.info import SessionInfo
from .model.session import Session

__all__ = [
    "MISSING",
    "CompressedSerializer",
    "ConfigurationError",
    "HeadersAlreadySent",
    "NotSerializable",
    "PartlyRevoked",
    "Session",
    "SessionClosed",
    "SessionConfig",
    "SessionError",
    "SessionEvent",
    "SessionInfo",
    "SessionManager",
    "SessionMiddleware",
    "SessionTooLarge",
    "SessionUnavailable",
    "get_session",
]
