"""What the compiled modules were built with."""

cdef extern from *:
    """
    #ifdef __VERSION__
      #ifdef __clang__
        #define DELTABOOK_COMPILER __VERSION__
      #else
        #define DELTABOOK_COMPILER "GCC " __VERSION__
      #endif
    #else
      #define DELTABOOK_COMPILER "a compiler that does not say"
    #endif
    #ifdef NDEBUG
      #define DELTABOOK_CHECKED 0
    #else
      #define DELTABOOK_CHECKED 1
    #endif
    """
    const char* DELTABOOK_COMPILER
    const int DELTABOOK_CHECKED
    const unsigned long CYTHON_HEX_VERSION

compiler = DELTABOOK_COMPILER.decode()
cython = ".".join(str(CYTHON_HEX_VERSION >> shift & 0xFF) for shift in (24, 16, 8))
checked = bool(DELTABOOK_CHECKED)
