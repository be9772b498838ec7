#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

// The Castagnoli checksum, as in RFC 3720.
std::uint32_t crc32c(std::string_view bytes);

// `data` as a record of TensorFlow's format: its length in 8 bytes, a checksum of these, the data, a checksum
// of the data. https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
std::string tf_record(std::string_view data);

}  // namespace lockstep
