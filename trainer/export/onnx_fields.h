#pragma once

// Numbers of the fields and types of ONNX that are written here, as its onnx.proto has them.
// https://github.com/onnx/onnx/blob/v1.12.0/onnx/onnx.proto
namespace lockstep::onnx {

// 7 came with ONNX 1.8, which had operator set 13; whatever reads ONNX knows both.
inline constexpr int ir_version = 7;
inline constexpr int operator_set = 13;

namespace model {  // ModelProto
inline constexpr int ir_version = 1, producer_name = 2, graph = 7, opset_import = 8, metadata_props = 14;
}
namespace operator_set_id {  // OperatorSetIdProto
inline constexpr int version = 2;
}
namespace entry {  // StringStringEntryProto
inline constexpr int key = 1, value = 2;
}
namespace graph {  // GraphProto
inline constexpr int node = 1, name = 2, initializer = 5, input = 11, output = 12;
}
namespace node {  // NodeProto
inline constexpr int input = 1, output = 2, name = 3, op_type = 4, attribute = 5;
}
namespace attribute {  // AttributeProto
inline constexpr int name = 1, f = 2, i = 3, ints = 8, type = 20;
inline constexpr int type_float = 1, type_int = 2, type_ints = 7;
}  // namespace attribute
namespace tensor {  // TensorProto
inline constexpr int dims = 1, data_type = 2, name = 8, raw_data = 9;
inline constexpr int type_float = 1, type_int64 = 7;
}  // namespace tensor
namespace value_info {  // ValueInfoProto
inline constexpr int name = 1, type = 2, doc_string = 3;
}
namespace type {  // TypeProto and TypeProto.Tensor
inline constexpr int tensor_type = 1;
inline constexpr int elem_type = 1, shape = 2;
}  // namespace type
namespace shape {  // TensorShapeProto and TensorShapeProto.Dimension
inline constexpr int dim = 1;
inline constexpr int dim_value = 1, dim_param = 2;
}  // namespace shape

}  // namespace lockstep::onnx
