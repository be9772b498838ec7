#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "trainer/config/schema.h"
#include "trainer/data/images_in_memory.h"

// The IDX file format (Y. LeCun, "The MNIST database"), plain or gzip, told apart by content: a magic number
// 0x000008nn (unsigned bytes, nn dimensions), nn big-endian 32-bit sizes, then the bytes, last dimension
// fastest. A file has exactly the bytes its header declares, or it is refused with a DataError that names it,
// what was found and what was expected; no more memory is used than the file really holds, and for a gzip
// file than its header declares, which is refused where that is more than `max_mib`.
namespace lockstep {

// Magic 0x00000803: images × rows × columns of one channel; 0x00000804: … × channels.
ImageArray read_idx_image_file(const std::filesystem::path& path,
                               std::int64_t max_mib = DataConfig().max_mib);

// Magic 0x00000801.
std::vector<std::uint8_t> read_idx_label_file(const std::filesystem::path& path,
                                              std::int64_t max_mib = DataConfig().max_mib);

// The same of a file in memory; `name` is what messages call it.
ImageArray parse_idx_images(std::span<const std::uint8_t> file, const std::string& name,
                            std::int64_t max_mib = DataConfig().max_mib);
std::vector<std::uint8_t> parse_idx_labels(std::span<const std::uint8_t> file, const std::string& name,
                                           std::int64_t max_mib = DataConfig().max_mib);

}  // namespace lockstep
