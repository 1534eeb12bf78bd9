# The headers' comments as Doxygen's: what stands above a declaration, and what stands behind it on its line.
/^#include/b
1s|^/\*|/** @file|
/^\/\* -----/b
s|^([ \t]*)/\*( .*)?$|\1/**\2|
s|^([ \t]*[^ \t/].*)/\* |\1/**< |
s|<gqe/|\&lt;gqe/|g
