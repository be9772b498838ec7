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

// What the format calls a type: "F32".
std::string_view safetensors_name(DType dtype);

// What stands before the tensors' bytes: the length, and the JSON header padded with spaces to 8 bytes. Equal
// tensors and metadata in, equal bytes out: in whichever order they are given, tensors are laid out by
// falling alignment of their types, then by name, so each is aligned to its type. Throws std::logic_error
// where two have one name, or a tensor's bytes do not fit its type and shape.
std::string safetensors_header(std::span<const TensorView> tensors, const Metadata& metadata);

// Writes all or nothing: a temporary file in the same folder, fsync, rename, fsync of the folder.
// Throws DataError with the path and the system's reason.
void write_safetensors(const std::filesystem::path& file, std::span<const TensorView> tensors,
                       const Metadata& metadata);

// A whole file, validated before anything of it is used: header length against the file, JSON, schema, shape
// × dtype against offsets, offsets that neither overlap nor leave a hole, nothing behind the end. Files of
// other programs may start their data anywhere: copy a tensor's bytes, do not cast them.
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
