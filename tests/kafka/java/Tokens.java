import java.io.InputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.interfaces.ECPublicKey;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.ECPoint;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;

/**
 * Signs claims: prints a JSON Web Key Set, and then for each argument, which is a JSON object, a token on a line.
 *
 * <p>Arguments before {@code --claims} are certificates whose keys are in the set, too, by the
 * names of the files. Arguments behind {@code --strange} are
 * signed by a key that is not in the set, though they name one that is.
 */
public final class Tokens {
    private static final String KEY_ID = "tests";

    public static void main(String[] args) throws Exception {
        KeyPair known = generate();
        KeyPair strange = generate();
        int claims = Arrays.asList(args).indexOf("--claims");
        List<String> keys = new ArrayList<>(List.of(describe(known.getPublic(), KEY_ID)));
        for (String file : Arrays.copyOf(args, claims)) {
            try (InputStream in = Files.newInputStream(Path.of(file))) {
                PublicKey key = CertificateFactory.getInstance("X.509").generateCertificate(in).getPublicKey();
                keys.add(describe(key, Path.of(file).getFileName().toString()));
            }
        }
        System.out.println("{\"keys\":[" + String.join(",", keys) + "]}");
        KeyPair signer = known;
        for (String text : Arrays.copyOfRange(args, claims + 1, args.length)) {
            if (text.equals("--strange")) {
                signer = strange;
                continue;
            }
            String header = "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"" + KEY_ID + "\"}";
            String signed = encode(utf8(header)) + "." + encode(utf8(text));
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

    /** A key as a member of the set. */
    private static String describe(PublicKey key, String id) {
        String what;
        if (key instanceof ECPublicKey) {
            ECPoint point = ((ECPublicKey) key).getW();
            what = "\"kty\":\"EC\",\"alg\":\"ES256\",\"crv\":\"P-256\",\"x\":\"" + encode(padded(point.getAffineX()))
                    + "\",\"y\":\"" + encode(padded(point.getAffineY())) + "\"";
        } else {
            RSAPublicKey rsa = (RSAPublicKey) key;
            what = "\"kty\":\"RSA\",\"alg\":\"RS256\",\"n\":\"" + encode(unsigned(rsa.getModulus())) + "\",\"e\":\""
                    + encode(unsigned(rsa.getPublicExponent())) + "\"";
        }
        return "{\"use\":\"sig\",\"kid\":\"" + id + "\"," + what + "}";
    }

    /** With the zeros that a coordinate of P-256 begins with. */
    private static byte[] padded(BigInteger number) {
        byte[] bytes = unsigned(number);
        byte[] padded = new byte[32];
        System.arraycopy(bytes, 0, padded, 32 - bytes.length, bytes.length);
        return padded;
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
