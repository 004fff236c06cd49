"""Merge equal tasks of any Dask collection."""

from pipeline.share.apart import NotMerged, call_impurity, method_impurity, project_objects
from pipeline.share.impurities import USED_UP, Impurity
from pipeline.share.numbering import FunctionNumber, Numbering, stable
from pipeline.share.opening import Blocks, fuse_lines, task_dict, unfused
from pipeline.share.purity import callable_name, impure, pure
from pipeline.share.report import ShareReport
from pipeline.share.sharing import share, share_report

__all__ = [
    "USED_UP",
    "NotMerged",
    "Impurity",
    "Blocks",
    "Numbering",
    "ShareReport",
    "FunctionNumber",
    "stable",
    "method_impurity",
    "call_impurity",
    "fuse_lines",
    "impure",
    "project_objects",
    "task_dict",
    "pure",
    "share",
    "share_report",
    "callable_name",
    "unfused",
]
