#include "trainer/data/images/picture.h"

#include <array>
#include <fstream>
#include <system_error>

#include "trainer/checkpoint/whole_file.h"
#include "trainer/data/images/jpeg.h"
#include "trainer/data/images/png.h"

namespace lockstep {

bool is_picture(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored))
    return false;  // a pipe would wait, and lose its bytes
  std::array<char, 8> head{};
  std::ifstream(path, std::ios::binary).read(head.data(), head.size());
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(head.data()), head.size());
  return is_png(bytes) || is_jpeg(bytes);
}

Image read_picture(const std::filesystem::path& path, std::int64_t max_mib) {
  const FileBytes file = read_whole_file(path);
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(file.contents.data()), file.bytes);
  return is_png(bytes) ? decode_png(bytes, path.string(), max_mib)
                       : decode_jpeg(bytes, path.string(), max_mib);
}

}  // namespace lockstep
