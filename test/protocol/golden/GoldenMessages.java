import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * What Kafka's own codecs make of messages that we encoded. Reads lines `FetchResponse 12 hex` and writes, for each,
 * `FetchResponse 12 hex json`: decoded, encoded again, and every field as Kafka's client understands it,
 * but of records only their size.
 * golden.test.ts runs it when told to; see there.
 */
public class GoldenMessages {
    public static void main(String[] arguments) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ", -1);
            short version = Short.parseShort(words[1]);
            ByteBuffer received = ByteBuffer.wrap(HexFormat.of().parseHex(words[2]));
            Class<?> type = Class.forName("org.apache.kafka.common.message." + words[0] + "Data");
            ApiMessage message = (ApiMessage) type.getDeclaredConstructor().newInstance();
            message.read(new ByteBufferAccessor(received), version);
            if (received.hasRemaining()) throw new IllegalStateException(line + ": bytes remain");
            ByteBuffer encoded = MessageUtil.toByteBufferAccessor(message, version).buffer();
            byte[] bytes = new byte[encoded.remaining()];
            encoded.get(bytes);
            Class<?> converter = Class.forName(type.getName() + "JsonConverter");
            Method write = converter.getMethod("write", type, short.class, boolean.class);
            JsonNode json = (JsonNode) write.invoke(null, message, version, false);
            System.out.println(words[0] + " " + version + " " + HexFormat.of().formatHex(bytes) + " " + json);
        }
    }
}
