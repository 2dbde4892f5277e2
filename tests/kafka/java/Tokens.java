import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.security.interfaces.RSAPublicKey;
import java.util.Base64;

/**
 * Signs claims: prints a JSON Web Key Set, and then for each argument, which is a JSON object, a token on a line.
 *
 * <p>Arguments behind {@code --strange} are signed by a key that is not in the set, though they name one that is.
 */
public final class Tokens {
    private static final String KEY_ID = "tests";

    public static void main(String[] args) throws Exception {
        KeyPair known = generate();
        KeyPair strange = generate();
        RSAPublicKey key = (RSAPublicKey) known.getPublic();
        System.out.println("{\"keys\":[{\"kty\":\"RSA\",\"use\":\"sig\",\"alg\":\"RS256\",\"kid\":\"" + KEY_ID
                + "\",\"n\":\"" + encode(unsigned(key.getModulus())) + "\",\"e\":\""
                + encode(unsigned(key.getPublicExponent())) + "\"}]}");
        KeyPair signer = known;
        for (String claims : args) {
            if (claims.equals("--strange")) {
                signer = strange;
                continue;
            }
            String header = "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"" + KEY_ID + "\"}";
            String signed = encode(utf8(header)) + "." + encode(utf8(claims));
            Signature signature = Signature.getInstance("SHA256withRSA");
            signature.initSign(signer.getPrivate());
            signature.update(utf8(signed));
            System.out.println(signed + "." + encode(signature.sign()));
        }
    }

    private static KeyPair generate() throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2048);
        return generator.generateKeyPair();
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** Without the zero that is in front of numbers whose first bit is set. */
    private static byte[] unsigned(BigInteger number) {
        byte[] bytes = number.toByteArray();
        return bytes[0] == 0 ? java.util.Arrays.copyOfRange(bytes, 1, bytes.length) : bytes;
    }

    private static String encode(byte[] bytes) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }
}
