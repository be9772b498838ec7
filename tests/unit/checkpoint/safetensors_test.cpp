#include "trainer/checkpoint/safetensors.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <stdexcept>

#include "comm/base/error.h"
#include "tests/unit/checkpoint/temporary_folder.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

template <class T>
TensorView tensor(const std::string& name, DType dtype, const Dims& dims, const std::vector<T>& values) {
  return {.name = name, .dtype = dtype, .dims = dims, .bytes = std::as_bytes(std::span(values))};
}

std::string little_endian(std::uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}

// A file of this header and data, with the length that belongs in front.
std::string file_of(const std::string& header, const std::string& data = "") {
  return little_endian(header.size()) + header + data;
}

SafetensorsFile parse(const std::string& contents) {
  Buffer buffer(contents.size());
  std::ranges::copy(std::as_bytes(std::span(contents)), buffer.data());
  return SafetensorsFile::parse(std::move(buffer), contents.size(), "a.safetensors");
}

struct Sample {
  std::vector<float> f32{1.5F, -2, 3, 4, 5, 6};
  std::vector<double> f64{0.1};
  std::vector<std::int32_t> i32{-7, 8};
  std::vector<std::int64_t> i64{1'000'000'000'000};
  std::vector<std::uint8_t> u8{1, 2, 255};
  std::vector<float> none;

  std::vector<TensorView> tensors() const {
    return {tensor("u", DType::u8, {3}, u8),
            tensor("fc.weight", DType::f32, {2, 3}, f32),
            tensor("count", DType::i64, {}, i64),
            tensor("labels", DType::i32, {2, 1}, i32),
            tensor("loss", DType::f64, {1}, f64),
            tensor("empty", DType::f32, {4, 0}, none),
            tensor("\"odd\" \xC3\xA9\n", DType::u8, {0}, none)};
  }
};

TEST(Safetensors, WritesTheBytesOfTheFormat) {
  const TemporaryFolder folder;
  const std::vector<float> weight{1, -2};  // 0x3F800000, 0xC0000000
  const std::vector<std::int64_t> count{258};
  write_safetensors(folder / "a",
                    std::vector{tensor("w", DType::f32, {1, 2}, weight), tensor("n", DType::i64, {}, count)},
                    {{"step", "7"}, {"format", "pt"}});
  const std::string header = R"({"__metadata__":{"format":"pt","step":"7"},)"
                             R"("n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                             R"("w":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}})";
  ASSERT_EQ(header.size(), 151U);
  const std::string data("\x02\x01\0\0\0\0\0\0\0\0\x80\x3F\0\0\0\xC0", 16);
  EXPECT_EQ(read_file(folder / "a"), little_endian(152) + header + ' ' + data);
}

TEST(Safetensors, WritesAFileWithoutTensorsOrMetadata) {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", {}, {});
  EXPECT_EQ(read_file(folder / "a"), little_endian(8) + "{}      ");
  EXPECT_TRUE(SafetensorsFile::read(folder / "a").tensors().empty());
}

TEST(Safetensors, ReadsBackWhatItWroteInEveryType) {
  const TemporaryFolder folder;
  const Sample sample;
  const Metadata metadata{{"classes", "[\"T-shirt\", \"Sac \xC3\xA0 main\"]"}, {"empty", ""}};
  write_safetensors(folder / "a", sample.tensors(), metadata);

  const SafetensorsFile file = SafetensorsFile::read(folder / "a");
  EXPECT_EQ(file.metadata(), metadata);
  EXPECT_EQ(file.tensors().size(), sample.tensors().size());
  for (const TensorView& written : sample.tensors()) {
    const TensorView* read = file.find(written.name);
    ASSERT_NE(read, nullptr) << written.name;
    EXPECT_EQ(read->dtype, written.dtype);
    EXPECT_EQ(read->dims, written.dims);
    EXPECT_TRUE(std::ranges::equal(read->bytes, written.bytes)) << written.name;
  }
  EXPECT_EQ(file.find("fc"), nullptr);
}

TEST(Safetensors, StaysValidWhenMoved) {
  const Sample sample;
  const TemporaryFolder folder;
  write_safetensors(folder / "a", sample.tensors(), {});
  SafetensorsFile first = SafetensorsFile::read(folder / "a");
  const SafetensorsFile second = std::move(first);
  EXPECT_TRUE(std::ranges::equal(second.find("u")->bytes, std::as_bytes(std::span(sample.u8))));
}

TEST(Safetensors, GivesEqualBytesForEqualTensorsInAnyOrder) {
  const TemporaryFolder folder;
  const Sample sample;
  std::vector<TensorView> tensors = sample.tensors();
  write_safetensors(folder / "a", tensors, {{"a", "1"}});
  std::ranges::reverse(tensors);
  write_safetensors(folder / "b", tensors, {{"a", "1"}});
  EXPECT_EQ(read_file(folder / "a"), read_file(folder / "b"));
}

TEST(Safetensors, AlignsEveryTensorToItsType) {
  const TemporaryFolder folder;
  const Sample sample;
  write_safetensors(folder / "a", sample.tensors(), {});
  const SafetensorsFile file = SafetensorsFile::read(folder / "a");
  for (const TensorView& read : file.tensors()) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(read.bytes.data()) % size_of(read.dtype), 0U) << read.name;
  }
}

TEST(Safetensors, RefusesToWriteWhatIsInconsistent) {
  const std::vector<float> two(2);
  const auto header = [](const std::vector<TensorView>& tensors) { return safetensors_header(tensors, {}); };
  EXPECT_THROW(header({tensor("a", DType::f32, {2}, two), tensor("a", DType::f64, {1}, two)}),
               std::logic_error);
  EXPECT_THROW(header({tensor("a", DType::f32, {3}, two)}), std::logic_error);
  EXPECT_THROW(header({tensor("a", DType::f64, {2}, two)}), std::logic_error);
  EXPECT_THROW(header({tensor("__metadata__", DType::f32, {2}, two)}), std::logic_error);
}

TEST(Safetensors, KeepsTheOldFileWhereItCannotWrite) {
  const TemporaryFolder folder;
  write_file(folder / "file", "");
  EXPECT_THROW(write_safetensors(folder / "file/a", {}, {}), DataError);
  EXPECT_THAT(names_in(folder.path()), ElementsAre("file"));
}

TEST(Safetensors, NamesAFileThatCannotBeRead) {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& name) -> std::string {
    try {
      SafetensorsFile::read(folder / name);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no DataError";
  };
  EXPECT_THAT(message("missing"),
              AllOf(HasSubstr((folder / "missing").string()), HasSubstr("No such file or directory")));
  std::filesystem::create_directory(folder / "dir");
  EXPECT_THAT(message("dir"), HasSubstr("no regular file"));
  write_file(folder / "empty", "");
  EXPECT_THAT(message("empty"), AllOf(HasSubstr((folder / "empty").string()), HasSubstr("0 bytes")));
}

TEST(Safetensors, RefusesAFileCutShortAtAnyByte) {
  const TemporaryFolder folder;
  const std::vector<float> weight{1, -2};
  write_safetensors(folder / "a", std::vector{tensor("w", DType::f32, {2}, weight)}, {{"step", "7"}});
  const std::string whole = read_file(folder / "a");
  EXPECT_NO_THROW(parse(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THROW(parse(whole.substr(0, length)), DataError) << length;
  }
}

TEST(Safetensors, ReadsHeadersOfOtherWriters) {
  const SafetensorsFile file = parse(
      file_of("{ \"b\" : {\"shape\":[1], "
              "\"data_offsets\":[3,4],\"dtype\":\"U8\"},\n\"a\":{\"dtype\":\"U8\",\"shape\":[3],"
              "\"data_offsets\":[0,3]},\"none\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[3,3]}}\t ",
              "abcd"));
  ASSERT_EQ(file.tensors().size(), 3U);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[1].name, "none");
  EXPECT_EQ(file.tensors()[2].name, "b");
  EXPECT_EQ(std::to_integer<char>(file.tensors()[2].bytes[0]), 'd');
}

struct Malformed {
  std::string name;
  std::string contents;
  std::string complaint;

  friend std::ostream& operator<<(std::ostream& out, const Malformed& file) { return out << file.name; }
};

class MalformedFile : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedFile, IsRefusedWithItsNameAndTheReason) {
  try {
    parse(GetParam().contents);
    FAIL() << "was read";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("a.safetensors: "), HasSubstr(GetParam().complaint)));
  }
}

// A tensor's entry; `fields` after its name.
std::string one(const std::string& fields, const std::string& data = "abcd") {
  return file_of("{\"t\":{" + fields + "}}", data);
}
// An entry of type U8 at [begin, end).
std::string u8(const std::string& name, int begin, int end) {
  return "\"" + name + R"(":{"dtype":"U8","shape":[)" + std::to_string(end - begin) +
         R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

std::vector<Malformed> malformed_files() {
  const std::string good = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";
  const std::string huge = "9223372036854775808";  // 2⁶³
  return {
      {"NothingAtAll", "", "fewer than"},
      {"ShorterThanTheLength", std::string(7, '\0'), "7 bytes are fewer than"},
      {"EmptyHeader", file_of(""), "does not start with '{'"},
      {"LongestHeaderExceeded", little_endian(100'000'001) + "{}", "more than the format's 100000000"},
      {"LengthOfAllOnes", std::string(8, '\xFF') + "{}", "more than the format's"},
      {"HeaderBeyondTheEnd", little_endian(3) + "{}", "cut short: its header"},
      {"HeaderThatIsAnArray", file_of("[]"), "does not start with '{'"},
      {"HeaderAfterASpace", file_of(" {}"), "does not start with '{'"},
      {"HeaderAfterAByteOrderMark", file_of("\xEF\xBB\xBF{}"), "does not start with '{'"},
      {"ZeroByteInTheHeader", file_of(std::string("{}\0x", 4)), "zero byte at 2"},
      {"NoUtf8InAKey", file_of("{\"\xFF\":{" + good + "}}", "abcd"), "not JSON in UTF-8"},
      {"NoUtf8Outside", file_of("{}\xC3\xA9"), "not JSON in UTF-8"},
      {"NoJson", file_of("{t}"), "not JSON in UTF-8"},
      {"UnfinishedJson", file_of("{\"t\":{"), "not JSON in UTF-8"},
      {"TextBehindTheJson", file_of("{} {}"), "not JSON in UTF-8"},
      {"NumberBeyondEveryType", one(R"("dtype":"F32","shape":[1e999],"data_offsets":[0,4])"), "out of range"},
      {"NegativeNumberBeyondEveryType",
       one(R"("dtype":"F32","shape":[1],"data_offsets":[-9223372036854775809,4])"), "where a whole number"},
      {"OffsetBeyondEveryType", one(R"("dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551616])"),
       "where a whole number"},
      {"OffsetsThatWrapAround",  // 2⁶⁴ - 4 to 0
       one(R"("dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,0])"), "reversed"},
      {"NoUtf8InMetadata", file_of("{\"__metadata__\":{\"a\":\"\xC0\xAF\"}}"), "not JSON in UTF-8"},
      {"HalfASurrogatePair", file_of(R"({"__metadata__":{"a":"\ud800"}})"), "not JSON in UTF-8"},
      {"TensorTwiceInOtherLetters", file_of("{" + u8("t", 0, 4) + "," + u8("\\u0074", 0, 4) + "}", "abcd"),
       "key \"t\" twice"},
      {"TensorTwice", file_of("{" + u8("t", 0, 4) + "," + u8("t", 0, 4) + "}", "abcd"), "key \"t\" twice"},
      {"FieldTwice", one(good + R"(,"dtype":"F32")"), "key \"dtype\" twice"},
      {"MetadataTwice", file_of(R"({"__metadata__":{},"__metadata__":{}})"), "key \"__metadata__\" twice"},
      {"TooDeep", file_of(R"({"t":{"shape":[[)" + std::string(100'000, '[')), "nested deeper"},
      {"MetadataTooDeep", file_of(R"({"__metadata__":{"a":[[[]]]}})"), "nested deeper"},
      {"MetadataKeyTwice", file_of(R"({"__metadata__":{"a":"1","a":"2"}})"), "key \"a\" twice"},
      {"MetadataValueNull", file_of(R"({"__metadata__":{"step":null}})"), "the value of \"step\""},
      {"MetadataNoObject", file_of(R"({"__metadata__":"a"})"), "no object"},
      {"MetadataValueNoString", file_of(R"({"__metadata__":{"step":7}})"), "the value of \"step\""},
      {"EntryNoObject", file_of(R"({"t":[]})"), "and nothing else"},
      {"NoDtype", one(R"("shape":[1],"data_offsets":[0,4])"), "and nothing else"},
      {"NoShape", one(R"("dtype":"F32","data_offsets":[0,4])"), "and nothing else"},
      {"NoOffsets", one(R"("dtype":"F32","shape":[1])"), "and nothing else"},
      {"WrongField", one(R"("dtype":"F32","shape":[1],"offsets":[0,4])"), "and nothing else"},
      {"ExtraField", one(good + R"(,"stride":[1])"), "and nothing else"},
      {"DtypeNoString", one(R"("dtype":1,"shape":[1],"data_offsets":[0,4])"), "the dtype of tensor \"t\""},
      {"UnknownDtype", one(R"("dtype":"BF16","shape":[2],"data_offsets":[0,4])"),
       R"(tensor "t" has the dtype "BF16")"},
      {"ShapeNoArray", one(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"), "the shape of tensor \"t\""},
      {"NegativeSize", one(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), "has -1 where"},
      {"FractionalSize", one(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), "has 1.0 where"},
      {"SizeNoNumber", one(R"("dtype":"F32","shape":["1"],"data_offsets":[0,4])"), "has \"1\" where"},
      {"SizeTooLarge", one(R"("dtype":"F32","shape":[)" + huge + R"(,0],"data_offsets":[0,4])"), "too large"},
      {"ProductThatWrapsToZero",  // 2³² · 2³² wraps to 0
       one(R"("dtype":"F32","shape":[4294967296,4294967296,1],"data_offsets":[0,0])", ""), "too large"},
      {"ProductBeyondTheLargestNumber",  // 4 · 2⁶¹ fits unsigned numbers alone
       one(R"("dtype":"U8","shape":[4,2305843009213693952,0],"data_offsets":[0,0])", ""), "too large"},
      {"OffsetsNoArray", one(R"("dtype":"F32","shape":[1],"data_offsets":4)"), "no pair"},
      {"OneOffset", one(R"("dtype":"F32","shape":[1],"data_offsets":[4])"), "no pair"},
      {"ThreeOffsets", one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])"), "no pair"},
      {"NegativeOffset", one(R"("dtype":"F32","shape":[1],"data_offsets":[-4,0])"), "has -4 where"},
      {"FractionalOffset", one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4.0])"), "has 4.0 where"},
      {"ReversedOffsets", one(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), "reversed"},
      {"OffsetsUnlikeTheShape", one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"),
       "takes 8 bytes, its data_offsets span 4"},
      {"StartBeyondZero", file_of("{" + u8("t", 1, 4) + "}", "abcd"), "starts at 1, beyond"},
      {"Overlap", file_of("{" + u8("a", 0, 3) + "," + u8("b", 2, 4) + "}", "abcd"),
       "\"b\" starts at 2, before"},
      {"SameBytesTwice", file_of("{" + u8("a", 0, 4) + "," + u8("b", 0, 4) + "}", "abcd"),
       "\"b\" starts at 0, before"},
      {"Hole", file_of("{" + u8("a", 0, 1) + "," + u8("b", 2, 4) + "}", "abcd"), "\"b\" starts at 2, beyond"},
      {"DataBeyondTheEnd", one(good, "abc"), "cut short: tensor \"t\" ends at 4"},
      {"BytesBehindTheEnd", one(good, "abcde"), "1 bytes follow its last tensor"},
      {"BytesWithoutAnyTensor", file_of("{}", "a"), "1 bytes follow"},
  };
}

// What a stranger's file says must not become a command to a terminal, nor a message of a hundred megabytes.
TEST(Safetensors, ShowsNamesAndValuesOfAFileWithCare) {
  const std::string name = R"(\u001b[2J)" + std::string(1'000'000, 'x');
  const std::vector<std::string> headers{
      "{\"" + name + "\":{}}",
      "{\"" + name + R"(":{"dtype":")" + name + R"(","shape":[],"data_offsets":[0,4]}})",
      R"({"t":{"dtype":"U8","shape":[")" + name + R"("],"data_offsets":[0,4]}})",
      R"({"t":{"dtype":"U8","shape":[1)" + std::string(1'000'000, '0') + R"(],"data_offsets":[0,4]}})",
      "{\"" + name + "\":1,\"" + name + "\":1}",
      R"({"__metadata__":{")" + name + "\":1}}",
  };
  for (const std::string& header : headers) {
    try {
      parse(file_of(header, "abcd"));
      ADD_FAILURE() << header.substr(0, 40);
    } catch (const DataError& error) {
      const std::string message = error.what();
      EXPECT_LT(message.size(), 500U) << header.substr(0, 40);
      EXPECT_EQ(message.find('\x1B'), std::string::npos) << header.substr(0, 40);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Safetensors, MalformedFile, testing::ValuesIn(malformed_files()),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace lockstep
