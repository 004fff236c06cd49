"""Merge equal tasks of any Dask collection."""

from pipeline.share.apart import Apart, by_object, call_impurity, objects_in
from pipeline.share.impurities import USED_UP, Impurity
from pipeline.share.numbering import Numbering, _Function, _steady
from pipeline.share.opening import Loose, fused, plain, unfused
from pipeline.share.purity import impure, pure, title
from pipeline.share.report import ShareReport
from pipeline.share.sharing import share, share_report

__all__ = [
    "USED_UP",
    "Apart",
    "Impurity",
    "Loose",
    "Numbering",
    "ShareReport",
    "_Function",
    "_steady",
    "by_object",
    "call_impurity",
    "fused",
    "impure",
    "objects_in",
    "plain",
    "pure",
    "share",
    "share_report",
    "title",
    "unfused",
]
