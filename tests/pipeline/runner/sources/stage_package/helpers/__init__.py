from stage_package.helpers.arithmetic import double

__all__ = ["double"]
