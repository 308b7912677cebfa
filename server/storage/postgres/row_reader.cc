#include "server/storage/postgres/row_reader.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/storage/postgres/pg_text.h"

namespace ringfence::storage {

absl::string_view RowReader::Next() {
  const pqxx::field field = row_[column_++];
  return {field.c_str(), field.size()};
}

int64_t RowReader::Int() {
  const absl::string_view text = Next();
  int64_t value = 0;
  if (absl::SimpleAtoi(text, &value)) return value;
  return Keep<int64_t>(absl::DataLossError(absl::StrCat("whole number from the database: \"", text, "\"")));
}

double RowReader::Double() {
  return Keep(ParsePgDouble(Next()));
}

bool RowReader::Bool() {
  return Next() == "t";
}

absl::Time RowReader::Time() {
  return Keep(ParsePgTime(Next()));
}

std::string RowReader::Bytes() {
  return Keep(ParsePgBytes(Next()));
}

Digest RowReader::Sha256() {
  return Keep(Digest::FromBytes(Bytes()));
}

AgentId RowReader::Agent() {
  return Keep(AgentId::Parse(Next()));
}

std::vector<std::string> RowReader::Array() {
  return Keep(ParsePgArray(Next()));
}

std::vector<double> RowReader::Doubles(size_t count) {
  std::vector<double> values;
  for (const std::string& text : Array()) values.push_back(Keep(ParsePgDouble(text)));
  if (values.size() != count && status_.ok()) {
    status_ = absl::DataLossError(absl::StrCat(values.size(), " numbers from the database, wanted ", count));
  }
  values.resize(count);
  return values;
}

}  // namespace ringfence::storage
