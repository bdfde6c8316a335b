// Prints golden batches made by Apache Kafka's own client library, one "name base64" a line:
//   java -cp 'DIR-OF-KAFKA-JARS/*' Golden.java
import java.nio.ByteBuffer;
import java.util.Base64;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.*;

public class Golden {
  public static void main(String[] args) {
    for (CompressionType type : CompressionType.values()) {
      MemoryRecordsBuilder builder = builder(type, 4096);
      for (int i = 0; i < 20; i++) {
        byte[] key = i % 5 == 4 ? null : ("key-" + i).getBytes();
        byte[] value = i % 7 == 6 ? null : ("value number " + i + " of the golden batch").getBytes();
        Header[] headers = i % 3 != 0 ? new Header[0]
            : new Header[] {new RecordHeader("trace", new byte[] {(byte) i}), new RecordHeader("empty", (byte[]) null)};
        builder.append(1700000000000L + i * 1000L, key, value, headers);
      }
      print("java-" + type.name, builder.build());
    }
    // More than one block in every codec: 30 records of 6,000 bytes.
    for (CompressionType type : new CompressionType[] {CompressionType.SNAPPY, CompressionType.LZ4, CompressionType.ZSTD}) {
      MemoryRecordsBuilder builder = builder(type, 1 << 20);
      for (int i = 0; i < 30; i++) {
        byte[] value = new byte[6000];
        java.util.Arrays.fill(value, (byte) ('a' + i % 26));
        builder.append(1700000000000L + i, null, value);
      }
      print("java-" + type.name + "-long", builder.build());
    }
    print("java-commit", MemoryRecords.withEndTransactionMarker(30L, 1700000000000L, 5, 4000L, (short) 3,
        new EndTransactionMarker(ControlRecordType.COMMIT, 9)));
    print("java-abort", MemoryRecords.withEndTransactionMarker(31L, 1700000000000L, 5, 4000L, (short) 3,
        new EndTransactionMarker(ControlRecordType.ABORT, 9)));
  }

  private static MemoryRecordsBuilder builder(CompressionType type, int bytes) {
    return MemoryRecords.builder(ByteBuffer.allocate(bytes), RecordBatch.MAGIC_VALUE_V2, Compression.of(type).build(),
        TimestampType.CREATE_TIME, 100L, RecordBatch.NO_TIMESTAMP, 4000L, (short) 3, 7, true, 5);
  }

  private static void print(String name, MemoryRecords records) {
    byte[] bytes = new byte[records.sizeInBytes()];
    records.buffer().duplicate().get(bytes);
    System.out.println(name + " " + Base64.getEncoder().encodeToString(bytes));
  }
}
