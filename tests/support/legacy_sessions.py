"""Sessions as earlier libraries wrote them, each by one request to a real application.

In all of them the secret key is ``SECRET_KEY``, and the view stored what ``VALUES``
holds, on Python 2 also ``VALUES_OF_PYTHON_2``, else ``VALUES_OF_PYTHON_3``.
"""

from __future__ import annotations

import typing as t
from datetime import date
from datetime import datetime
from datetime import time
from datetime import timedelta
from datetime import UTC
from decimal import Decimal
from uuid import UUID

from markupsafe import Markup

SECRET_KEY = "not a secret, this is a test"

_PRODUCT = UUID(int=12345678901234567890)

VALUES: dict[str, t.Any] = {
    "user_id": "42",
    "name": "Zoë €",
    "big": 2**70,
    "small": -3,
    "ok": True,
    "none": None,
    "price": 1.5,
    "exact": Decimal("9.90"),
    "cart": [(1, "pen"), {2: "ink"}],
    "seen": {3},
    "tags": frozenset({"a"}),
    "at": datetime(2019, 12, 31, 23, 59, 58, 250001),
    "day": date(2019, 12, 31),
    "hour": time(23, 59),
    "span": timedelta(1, 2, 3),
    "uuid": _PRODUCT,
    "again": [_PRODUCT, _PRODUCT],
    "html": Markup("<b>hi</b>"),
    "order": {"b": 1, "a": 2},  # an OrderedDict
    "_flashes": [("message", "saved")],
}

#: Byte strings of Python 2, in UTF-8 and in Latin-1, and a ``long``.
VALUES_OF_PYTHON_2 = {"utf8": "Zoë", "latin1": "Zoë", "long": 7}

VALUES_OF_PYTHON_3 = {
    "bytes": b"\x00\xff",
    "utc": datetime(2019, 12, 31, tzinfo=UTC),
}


class Left(t.NamedTuple):
    """What an application left behind: in the browser, and in Redis."""

    cookie: str
    sid: str
    data: bytes
    permanent: bool
    values: dict[str, t.Any]


#: Flask-Session 0.3.2 with ``SESSION_USE_SIGNER`` on Python 2.7: cPickle, protocol 0.
FLASK_SESSION_032_PYTHON_27 = Left(
    cookie="5e0b1864-b791-48a8-a1ac-0e2ca12d6de1.woZIHZJ8GXIiENXYlpIcmXzBzdg",
    sid="5e0b1864-b791-48a8-a1ac-0e2ca12d6de1",
    data=(
        b"(dp1\nS'_permanent'\np2\nI01\nsS'tags'\np3\nc__builtin__\n"
        b"frozenset\np4\n((lp5\nS'a'\natRp6\nsS'big'\np7\nL1180591620717411303424L\n"
        b"sS'price'\np8\nF1.5\nsS'cart'\np9\n(lp10\n(I1\nS'pen'\n"
        b"p11\ntp12\na(dp13\nI2\nS'ink'\np14\nsasS'at'\np15\ncdatetime\n"
        b"datetime\np16\n(S'\\x07\\xe3\\x0c\\x1f\\x17;:\\x03\\xd0\\x91'\n"
        b"tRp17\nsS'seen'\np18\nc__builtin__\nset\np19\n((lp20\n"
        b"I3\natRp21\nsS'exact'\np22\ncdecimal\nDecimal\np23\n(S'9.90'\n"
        b"tRp24\nsS'day'\np25\ncdatetime\ndate\np26\n(S'\\x07\\xe3\\x0c\\x1f'\n"
        b"tRp27\nsS'name'\np28\nVZo\xeb \\u20ac\np29\nsS'again'\n"
        b"p30\n(lp31\nccopy_reg\n_reconstructor\np32\n(cuuid\nUUID\n"
        b"p33\nc__builtin__\nobject\np34\nNtRp35\n(dp36\nS'int'\n"
        b"p37\nL12345678901234567890L\nsbag35\nasS'none'\np38\n"
        b"NsS'user_id'\np39\nV42\np40\nsS'uuid'\np41\ng35\nsS'hour'\n"
        b"p42\ncdatetime\ntime\np43\n(S'\\x17;\\x00\\x00\\x00\\x00'\n"
        b"tRp44\nsS'_flashes'\np45\n(lp46\n(S'message'\np47\nS'saved'\n"
        b"p48\ntp49\nasS'span'\np50\ncdatetime\ntimedelta\np51\n"
        b"(I1\nI2\nI3\ntRp52\nsS'long'\np53\nL7L\nsS'html'\np54\n"
        b"g32\n(cmarkupsafe\nMarkup\np55\nc__builtin__\nunicode\n"
        b"p56\nV<b>hi</b>\ntRp57\nsS'ok'\np58\nI01\nsS'utf8'\np59\n"
        b"S'Zo\\xc3\\xab'\np60\nsS'small'\np61\nI-3\nsS'latin1'\n"
        b"p62\nS'Zo\\xeb'\np63\nsS'order'\np64\nccollections\nOrderedDict\n"
        b"p65\n((lp66\n(lp67\nS'b'\naI1\naa(lp68\nS'a'\naI2\naatRp69\n"
        b"s."
    ),
    permanent=True,
    values=VALUES | VALUES_OF_PYTHON_2,
)

#: The same, unsigned, with an interface whose ``serializer`` asks for protocol 2.
FLASK_SESSION_032_PYTHON_27_PROTOCOL_2 = Left(
    cookie="c96c95d9-303b-4194-9ad7-2c9a5c04f22a",
    sid="c96c95d9-303b-4194-9ad7-2c9a5c04f22a",
    data=(
        b"\x80\x02}q\x01(U\n_permanentq\x02\x88U\x04tagsq\x03c__builtin__\n"
        b"frozenset\nq\x04]q\x05U\x01aa\x85Rq\x06U\x03bigq\x07\x8a\t\x00\x00\x00\x00"
        b"\x00\x00\x00\x00@U\x05priceq\x08G?\xf8\x00\x00\x00\x00\x00\x00U\x04cartq\t]q"
        b"\n(K\x01U\x03penq\x0b\x86q\x0c}q\rK\x02U\x03inkq\x0eseU\x02atq\x0fcdatetime\n"
        b"datetime\nq\x10U\n\x07\xe3\x0c\x1f\x17;:\x03\xd0\x91\x85Rq\x11U\x04seenq\x12c"
        b"__builtin__\nset\nq\x13]q\x14K\x03a\x85Rq\x15U\x05exactq\x16cdecimal\n"
        b"Decimal\nq\x17U\x049.90\x85Rq\x18U\x03dayq\x19cdatetime\n"
        b"date\nq\x1aU\x04\x07\xe3\x0c\x1f\x85Rq\x1bU\x04nameq\x1cX\x08\x00\x00\x00Zo"
        b"\xc3\xab \xe2\x82\xacq\x1dU\x05againq\x1e]q\x1f(cuuid\n"
        b'UUID\nq )\x81q!}q"U\x03intq#\x8a\t\xd2\n\x1f\xeb\x8c\xa9T\xab\x00sbh!eU\x04n'
        b"oneq$NU\x07user_idq%X\x02\x00\x00\x0042q&U\x04uuidq'h!U\x04hourq(cdatetime\n"
        b"time\nq)U\x06\x17;\x00\x00\x00\x00\x85Rq*U\x08_flashesq+]q,U\x07messageq-U"
        b"\x05savedq.\x86q/aU\x04spanq0cdatetime\ntimedelta\nq1K\x01K\x02K\x03\x87Rq2U"
        b"\x04longq3\x8a\x01\x07U\x04htmlq4cmarkupsafe\nMarkup\n"
        b"q5X\t\x00\x00\x00<b>hi</b>q6\x85\x81q7U\x02okq8\x88U\x04utf8q9U\x04Zo\xc3\xab"
        b"q:U\x05smallq;J\xfd\xff\xff\xffU\x06latin1q<U\x03Zo\xebq=U\x05orderq>ccollect"
        b"ions\nOrderedDict\nq?]q@(]qA(U\x01bK\x01e]qB(U\x01aK\x02ee\x85RqCu."
    ),
    permanent=True,
    values=VALUES | VALUES_OF_PYTHON_2,
)

#: The classic snippet on Python 2.7: pickle, protocol 0.
SNIPPET_PYTHON_27 = Left(
    cookie="3c8c1cfa-ce96-4507-8596-c3cd7236f443",
    sid="3c8c1cfa-ce96-4507-8596-c3cd7236f443",
    data=(
        b"(dp0\nS'tags'\np1\nc__builtin__\nfrozenset\np2\n((lp3\n"
        b"S'a'\np4\natp5\nRp6\nsS'big'\np7\nL1180591620717411303424L\n"
        b"sS'price'\np8\nF1.5\nsS'cart'\np9\n(lp10\n(I1\nS'pen'\n"
        b"p11\ntp12\na(dp13\nI2\nS'ink'\np14\nsasS'at'\np15\ncdatetime\n"
        b"datetime\np16\n(S'\\x07\\xe3\\x0c\\x1f\\x17;:\\x03\\xd0\\x91'\n"
        b"p17\ntp18\nRp19\nsS'seen'\np20\nc__builtin__\nset\np21\n"
        b"((lp22\nI3\natp23\nRp24\nsS'exact'\np25\ncdecimal\nDecimal\n"
        b"p26\n(S'9.90'\np27\ntp28\nRp29\nsS'day'\np30\ncdatetime\n"
        b"date\np31\n(S'\\x07\\xe3\\x0c\\x1f'\np32\ntp33\nRp34\n"
        b"sS'latin1'\np35\nS'Zo\\xeb'\np36\nsS'again'\np37\n(lp38\n"
        b"ccopy_reg\n_reconstructor\np39\n(cuuid\nUUID\np40\nc__builtin__\n"
        b"object\np41\nNtp42\nRp43\n(dp44\nS'int'\np45\nL12345678901234567890L\n"
        b"sbag43\nasS'none'\np46\nNsS'user_id'\np47\nV42\np48\n"
        b"sS'uuid'\np49\ng43\nsS'hour'\np50\ncdatetime\ntime\np51\n"
        b"(S'\\x17;\\x00\\x00\\x00\\x00'\np52\ntp53\nRp54\nsS'_flashes'\n"
        b"p55\n(lp56\n(S'message'\np57\nS'saved'\np58\ntp59\nasS'span'\n"
        b"p60\ncdatetime\ntimedelta\np61\n(I1\nI2\nI3\ntp62\nRp63\n"
        b"sS'long'\np64\nL7L\nsS'name'\np65\nVZo\xeb \\u20ac\np66\n"
        b"sS'html'\np67\ng39\n(cmarkupsafe\nMarkup\np68\nc__builtin__\n"
        b"unicode\np69\nV<b>hi</b>\np70\ntp71\nRp72\nsS'ok'\np73\n"
        b"I01\nsS'utf8'\np74\nS'Zo\\xc3\\xab'\np75\nsS'small'\n"
        b"p76\nI-3\nsS'order'\np77\nccollections\nOrderedDict\n"
        b"p78\n((lp79\n(lp80\nS'b'\np81\naI1\naa(lp82\ng4\naI2\n"
        b"aatp83\nRp84\ns."
    ),
    permanent=False,
    values=VALUES | VALUES_OF_PYTHON_2,
)

#: Flask-Session 0.3.2 with ``SESSION_USE_SIGNER`` on Python 3.7: protocol 3.
FLASK_SESSION_032_PYTHON_37 = Left(
    cookie="01482bd5-e8de-46a7-8112-3a848b20402b.6R-D8hFChov3O25sKzriGHJr9ZU",
    sid="01482bd5-e8de-46a7-8112-3a848b20402b",
    data=(
        b"\x80\x03}q\x00(X\n\x00\x00\x00_permanentq\x01\x88X\x07\x00\x00\x00user_idq"
        b"\x02X\x02\x00\x00\x0042q\x03X\x04\x00\x00\x00nameq\x04X\x08\x00\x00\x00Zo\xc3"
        b"\xab \xe2\x82\xacq\x05X\x05\x00\x00\x00bytesq\x06C\x02\x00\xffq\x07X\x03\x00"
        b"\x00\x00bigq\x08\x8a\t\x00\x00\x00\x00\x00\x00\x00\x00@X\x05\x00\x00\x00small"
        b"q\tJ\xfd\xff\xff\xffX\x02\x00\x00\x00okq\n\x88X\x04\x00\x00\x00noneq\x0bNX"
        b"\x05\x00\x00\x00priceq\x0cG?\xf8\x00\x00\x00\x00\x00\x00X\x05\x00\x00\x00exac"
        b"tq\rcdecimal\nDecimal\nq\x0eX\x04\x00\x00\x009.90q\x0f\x85q\x10Rq\x11X\x04"
        b"\x00\x00\x00cartq\x12]q\x13(K\x01X\x03\x00\x00\x00penq\x14\x86q\x15}q\x16K"
        b"\x02X\x03\x00\x00\x00inkq\x17seX\x04\x00\x00\x00seenq\x18cbuiltins\n"
        b"set\nq\x19]q\x1aK\x03a\x85q\x1bRq\x1cX\x04\x00\x00\x00tagsq\x1dcbuiltins\n"
        b'frozenset\nq\x1e]q\x1fX\x01\x00\x00\x00aq a\x85q!Rq"X\x02\x00\x00\x00atq#cda'
        b"tetime\ndatetime\nq$C\n\x07\xe3\x0c\x1f\x17;:\x03\xd0\x91q%\x85q&Rq'X\x03\x00"
        b"\x00\x00dayq(cdatetime\ndate\nq)C\x04\x07\xe3\x0c\x1fq*\x85q+Rq,X\x04\x00\x00"
        b"\x00hourq-cdatetime\ntime\nq.C\x06\x17;\x00\x00\x00\x00q/\x85q0Rq1X\x04\x00"
        b"\x00\x00spanq2cdatetime\ntimedelta\nq3K\x01K\x02K\x03\x87q4Rq5X\x03\x00\x00"
        b"\x00utcq6h$C\n\x07\xe3\x0c\x1f\x00\x00\x00\x00\x00\x00q7cdatetime\n"
        b"timezone\nq8h3K\x00K\x00K\x00\x87q9Rq:\x85q;Rq<\x86q=Rq>X\x04\x00\x00\x00uuid"
        b"q?cuuid\nUUID\nq@)\x81qA}qBX\x03\x00\x00\x00intqC\x8a\t\xd2\n"
        b"\x1f\xeb\x8c\xa9T\xab\x00sbX\x05\x00\x00\x00againqD]qE(hAhAeX\x04\x00\x00\x00"
        b"htmlqFcmarkupsafe\nMarkup\nqGX\t\x00\x00\x00<b>hi</b>qH\x85qI\x81qJX\x05\x00"
        b"\x00\x00orderqKccollections\nOrderedDict\nqL)RqM(X\x01\x00\x00\x00bqNK\x01h K"
        b"\x02uX\x08\x00\x00\x00_flashesqO]qPX\x07\x00\x00\x00messageqQX\x05\x00\x00"
        b"\x00savedqR\x86qSau."
    ),
    permanent=True,
    values=VALUES | VALUES_OF_PYTHON_3,
)

#: Flask-Session 0.5.0 on Python 3.11: protocol 4.
FLASK_SESSION_050 = Left(
    cookie="0648e1d7-5232-4c64-b5f4-8ae25639ccd0",
    sid="0648e1d7-5232-4c64-b5f4-8ae25639ccd0",
    data=(
        b"\x80\x04\x95d\x02\x00\x00\x00\x00\x00\x00}\x94(\x8c\n"
        b"_permanent\x94\x88\x8c\x07user_id\x94\x8c\x0242\x94\x8c\x04name\x94\x8c\x08Zo"
        b"\xc3\xab \xe2\x82\xac\x94\x8c\x05bytes\x94C\x02\x00\xff\x94\x8c\x03big\x94"
        b"\x8a\t\x00\x00\x00\x00\x00\x00\x00\x00@\x8c\x05small\x94J\xfd\xff\xff\xff\x8c"
        b"\x02ok\x94\x88\x8c\x04none\x94N\x8c\x05price\x94G?\xf8\x00\x00\x00\x00\x00"
        b"\x00\x8c\x05exact\x94\x8c\x07decimal\x94\x8c\x07Decimal\x94\x93\x94\x8c\x049."
        b"90\x94\x85\x94R\x94\x8c\x04cart\x94]\x94(K\x01\x8c\x03pen\x94\x86\x94}\x94K"
        b"\x02\x8c\x03ink\x94se\x8c\x04seen\x94\x8f\x94(K\x03\x90\x8c\x04tags\x94(\x8c"
        b"\x01a\x94\x91\x94\x8c\x02at\x94\x8c\x08datetime\x94\x8c\x08datetime\x94\x93"
        b"\x94C\n\x07\xe3\x0c\x1f\x17;:\x03\xd0\x91\x94\x85\x94R\x94\x8c\x03day\x94h "
        b"\x8c\x04date\x94\x93\x94C\x04\x07\xe3\x0c\x1f\x94\x85\x94R\x94\x8c\x04hour"
        b"\x94h \x8c\x04time\x94\x93\x94C\x06\x17;\x00\x00\x00\x00\x94\x85\x94R\x94\x8c"
        b"\x04span\x94h \x8c\ttimedelta\x94\x93\x94K\x01K\x02K\x03\x87\x94R\x94\x8c\x03"
        b'utc\x94h"C\n\x07\xe3\x0c\x1f\x00\x00\x00\x00\x00\x00\x94h \x8c\x08timezone'
        b"\x94\x93\x94h4K\x00K\x00K\x00\x87\x94R\x94\x85\x94R\x94\x86\x94R\x94\x8c\x04u"
        b"uid\x94hA\x8c\x04UUID\x94\x93\x94)\x81\x94}\x94\x8c\x03int\x94\x8a\t\xd2\n"
        b"\x1f\xeb\x8c\xa9T\xab\x00sb\x8c\x05again\x94]\x94(hDhDe\x8c\x04html\x94\x8c\n"
        b"markupsafe\x94\x8c\x06Markup\x94\x93\x94\x8c\t<b>hi</b>\x94\x85\x94\x81\x94"
        b"\x8c\x05order\x94\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94"
        b"(\x8c\x01b\x94K\x01h\x1dK\x02u\x8c\x08_flashes\x94]\x94\x8c\x07message\x94"
        b"\x8c\x05saved\x94\x86\x94au."
    ),
    permanent=True,
    values=VALUES | VALUES_OF_PYTHON_3,
)

#: Flask-Session 0.6.0 with ``SESSION_USE_SIGNER`` on Python 3.11: protocol 4.
FLASK_SESSION_060 = Left(
    cookie="z3xXFEbjvrpviZYNNOW4KUnxCXnLMGqMaXarQ5W7Tu4.SpTqA-3jGr8HCNfL6UJJDB9V_3E",
    sid="z3xXFEbjvrpviZYNNOW4KUnxCXnLMGqMaXarQ5W7Tu4",
    data=(
        b"\x80\x04\x95d\x02\x00\x00\x00\x00\x00\x00}\x94(\x8c\n"
        b"_permanent\x94\x88\x8c\x07user_id\x94\x8c\x0242\x94\x8c\x04name\x94\x8c\x08Zo"
        b"\xc3\xab \xe2\x82\xac\x94\x8c\x05bytes\x94C\x02\x00\xff\x94\x8c\x03big\x94"
        b"\x8a\t\x00\x00\x00\x00\x00\x00\x00\x00@\x8c\x05small\x94J\xfd\xff\xff\xff\x8c"
        b"\x02ok\x94\x88\x8c\x04none\x94N\x8c\x05price\x94G?\xf8\x00\x00\x00\x00\x00"
        b"\x00\x8c\x05exact\x94\x8c\x07decimal\x94\x8c\x07Decimal\x94\x93\x94\x8c\x049."
        b"90\x94\x85\x94R\x94\x8c\x04cart\x94]\x94(K\x01\x8c\x03pen\x94\x86\x94}\x94K"
        b"\x02\x8c\x03ink\x94se\x8c\x04seen\x94\x8f\x94(K\x03\x90\x8c\x04tags\x94(\x8c"
        b"\x01a\x94\x91\x94\x8c\x02at\x94\x8c\x08datetime\x94\x8c\x08datetime\x94\x93"
        b"\x94C\n\x07\xe3\x0c\x1f\x17;:\x03\xd0\x91\x94\x85\x94R\x94\x8c\x03day\x94h "
        b"\x8c\x04date\x94\x93\x94C\x04\x07\xe3\x0c\x1f\x94\x85\x94R\x94\x8c\x04hour"
        b"\x94h \x8c\x04time\x94\x93\x94C\x06\x17;\x00\x00\x00\x00\x94\x85\x94R\x94\x8c"
        b"\x04span\x94h \x8c\ttimedelta\x94\x93\x94K\x01K\x02K\x03\x87\x94R\x94\x8c\x03"
        b'utc\x94h"C\n\x07\xe3\x0c\x1f\x00\x00\x00\x00\x00\x00\x94h \x8c\x08timezone'
        b"\x94\x93\x94h4K\x00K\x00K\x00\x87\x94R\x94\x85\x94R\x94\x86\x94R\x94\x8c\x04u"
        b"uid\x94hA\x8c\x04UUID\x94\x93\x94)\x81\x94}\x94\x8c\x03int\x94\x8a\t\xd2\n"
        b"\x1f\xeb\x8c\xa9T\xab\x00sb\x8c\x05again\x94]\x94(hDhDe\x8c\x04html\x94\x8c\n"
        b"markupsafe\x94\x8c\x06Markup\x94\x93\x94\x8c\t<b>hi</b>\x94\x85\x94\x81\x94"
        b"\x8c\x05order\x94\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94"
        b"(\x8c\x01b\x94K\x01h\x1dK\x02u\x8c\x08_flashes\x94]\x94\x8c\x07message\x94"
        b"\x8c\x05saved\x94\x86\x94au."
    ),
    permanent=True,
    values=VALUES | VALUES_OF_PYTHON_3,
)
