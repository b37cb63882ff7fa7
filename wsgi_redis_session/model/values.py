"""What is known of the types that values have."""

from __future__ import annotations

from datetime import date
from datetime import datetime
from datetime import time
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from markupsafe import Markup

#: What the library itself keeps among the values: when the user logged in or
#: confirmed, in milliseconds since the epoch, and the secret of the tokens in forms.
#: Applications neither see these names nor set them.
AUTHENTICATED = "\0authenticated"
CSRF = "\0csrf"
OWN_NAMES = frozenset({AUTHENTICATED, CSRF})

#: Values that nobody can change once they have them.
IMMUTABLE = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        str,
        bytes,
        Markup,
        UUID,
        Decimal,
        date,
        time,
        datetime,
        timedelta,
    }
)
