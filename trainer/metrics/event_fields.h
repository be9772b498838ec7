#pragma once

// Numbers of the fields of TensorBoard's messages that are written here, as its .proto files have them.
// https://github.com/tensorflow/tensorboard/tree/2.20.0/tensorboard/compat/proto
namespace lockstep::tensorboard {

namespace event {  // Event
inline constexpr int wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7;
}
namespace session_log {  // SessionLog
inline constexpr int status = 1;
inline constexpr int start = 1;
}  // namespace session_log
namespace summary {  // Summary
inline constexpr int value = 1;
}
namespace value {  // Summary.Value
inline constexpr int tag = 1, simple_value = 2, histo = 5, tensor = 8, metadata = 9;
}
namespace histogram {  // HistogramProto
inline constexpr int min = 1, max = 2, num = 3, sum = 4, sum_squares = 5, bucket_limit = 6, bucket = 7;
}
namespace metadata {  // SummaryMetadata
inline constexpr int plugin_data = 1;
inline constexpr int plugin_name = 1;  // of PluginData
}  // namespace metadata
namespace tensor {  // TensorProto
inline constexpr int dtype = 1, tensor_shape = 2, string_val = 8;
inline constexpr int dtype_string = 7;
}  // namespace tensor

}  // namespace lockstep::tensorboard
