#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/base/dtype.h"
#include "layers/tensor/buffer.h"
#include "layers/tensor/shape.h"

// The safetensors format: 8 bytes of little-endian header length, a JSON header, the tensors' bytes.
// https://huggingface.co/docs/safetensors
namespace lockstep {

// A tensor in somebody's memory.
struct TensorView {
  std::string name;
  DType dtype = DType::f32;
  Dims dims;
  std::span<const std::byte> bytes;
};

using Metadata = std::map<std::string, std::string>;

// The file's bytes: equal tensors and metadata in, equal bytes out. Tensors are laid out in the order given
// (by falling alignment of their types, then by name), each aligned to its type; the header is padded to 8
// bytes.
std::string safetensors_header(std::span<const TensorView> tensors, const Metadata& metadata);

// Writes all or nothing: a temporary file in the same folder, fsync, rename, fsync of the folder.
// Throws DataError with the path and the system's reason.
void write_safetensors(const std::filesystem::path& file, std::span<const TensorView> tensors,
                       const Metadata& metadata);

// A whole file, validated before anything of it is used: header length against the file, JSON, schema, shape
// × dtype against offsets, offsets that neither overlap nor leave a hole, nothing behind the end.
class SafetensorsFile {
 public:
  // Throws DataError naming the file and what is wrong with it.
  static SafetensorsFile read(const std::filesystem::path& file);
  static SafetensorsFile parse(Buffer contents, std::size_t bytes, const std::string& name);

  const Metadata& metadata() const { return metadata_; }
  const std::vector<TensorView>& tensors() const { return tensors_; }  // in the order of their offsets
  const TensorView* find(std::string_view name) const;

 private:
  Buffer contents_;
  Metadata metadata_;
  std::vector<TensorView> tensors_;
};

}  // namespace lockstep
