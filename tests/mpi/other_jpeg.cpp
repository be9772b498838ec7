#include <dlfcn.h>
#include <turbojpeg.h>

// To be preloaded: a decoder of JPEG one of whose pixels is another than usual, as of another version.
extern "C" int tjDecompress2(tjhandle handle, const unsigned char* file, unsigned long size,
                             unsigned char* pixels, int width, int pitch, int height, int format, int flags) {
  static auto* const usual = reinterpret_cast<decltype(&tjDecompress2)>(::dlsym(RTLD_NEXT, "tjDecompress2"));
  const int result = usual(handle, file, size, pixels, width, pitch, height, format, flags);
  pixels[0] ^= 1U;
  return result;
}
