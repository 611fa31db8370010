compiler: str
cython: str
checked: bool
