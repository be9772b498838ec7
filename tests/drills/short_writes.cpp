// To be preloaded: every write takes half of what it is given, as the system may at any time.
#include <dlfcn.h>
#include <sys/types.h>

#include <cstddef>

extern "C" ssize_t write(int descriptor, const void* bytes, std::size_t count) {
  using Write = ssize_t (*)(int, const void*, std::size_t);
  static const auto real = reinterpret_cast<Write>(dlsym(RTLD_NEXT, "write"));
  return real(descriptor, bytes, (count + 1) / 2);
}
