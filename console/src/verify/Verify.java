import java.security.MessageDigest;
import java.util.Base64;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

class Verify {
    /** headers: of the request, names in lower case; body: exactly the bytes that arrived. */
    static boolean isGenuine(Map<String, String> headers, byte[] body, String secret) throws Exception {
        String id = headers.get("webhook-id"), timestamp = headers.get("webhook-timestamp");
        long age = System.currentTimeMillis() / 1000 - Long.parseLong(timestamp);
        if (Math.abs(age) > 300) return false; // too old: somebody may have recorded it
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(Base64.getDecoder().decode(secret.replaceFirst("^whsec_", "")), "HmacSHA256"));
        mac.update((id + "." + timestamp + ".").getBytes("UTF-8"));
        byte[] expected = mac.doFinal(body);
        for (String one : headers.get("webhook-signature").split(" ")) {
            byte[] given = Base64.getDecoder().decode(one.substring(one.indexOf(',') + 1));
            if (MessageDigest.isEqual(expected, given)) return true;
        }
        return false;
    }
}
